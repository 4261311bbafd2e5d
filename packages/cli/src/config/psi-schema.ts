/** The schema of a `psi run` configuration. */
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import { type EvidenceSource, evidenceSources } from "../evidence/source.ts";

/** As in the file: before rules across fields are checked and paths resolved. */
export interface PsiDocument {
  version: 1;
  workload: "psi";
  role: "receiver" | "sender";
  identity?: string;
  policy: string;
  listen?: string;
  connect?: string;
  evidence: EvidenceSource;
  tpm?: string;
  collateral?: string[];
  input: PsiInput;
  output?: PsiOutput;
  protocol?: "ecdh" | "attested";
  mode: "intersection" | "cardinality" | "labels" | "sum";
  labels?: { columns: string[]; maxBytes: number };
  sum?: { column: string; decimals: number; minMatches: number };
  resultTo: "receiver" | "both";
  minItems?: number;
  maxItems?: number;
  receipt: string;
  checkpoint?: { directory: string; key: string };
  timeoutSeconds?: number;
  metrics?: string;
}

export interface PsiInput {
  path: string;
  format?: "csv" | "tsv" | "parquet" | "jsonl";
  delimiter?: string;
  header?: boolean;
  keys: PsiKey[];
  match?: "all" | "any";
}

export interface PsiKey {
  columns: string[];
  as?: string[];
  normalise: ("trim" | "nfkc" | "lower" | "email" | "e164")[];
  region?: string;
}

export interface PsiOutput {
  path: string;
  format: "csv" | "parquet";
  rows?: "matched" | "unmatched" | "all";
}

const choice = <const T extends string>(values: readonly T[], description: string): TUnsafe<T> =>
  Type.Unsafe<T>({
    ...Type.Union(values.map((value) => Type.Literal(value))),
    description,
  });

const text = (description: string, options: Record<string, unknown> = {}) =>
  Type.String({ minLength: 1, maxLength: 4096, description, ...options });

const strict = <T extends Record<string, TSchema>>(
  properties: T,
  options: Record<string, unknown> = {},
): TObject<T> => Type.Object(properties, { additionalProperties: false, ...options });

const key = strict({
  columns: Type.Array(text("Name of a column."), {
    minItems: 1,
    maxItems: 16,
    uniqueItems: true,
    description: "Columns that together are one item. Order matters and must match the peer's.",
  }),
  as: Type.Optional(
    Type.Array(text("Name that both parties use."), {
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      description: "Common names of the columns, one each, where the parties' tables differ.",
    }),
  ),
  normalise: Type.Array(
    choice(["trim", "nfkc", "lower", "email", "e164"], "A step, applied in this order."),
    {
      maxItems: 8,
      uniqueItems: true,
      description: "How values are made comparable. Must match the peer's, or the run aborts.",
    },
  ),
  region: Type.Optional(
    text("Two-letter country of phone numbers without a country code; with e164 only.", {
      pattern: "^[A-Z]{2}$",
      title: "a two-letter country code such as DE",
    }),
  ),
});

const input = strict({
  path: text("Table to read; relative to this file."),
  format: Type.Optional(
    choice(["csv", "tsv", "parquet", "jsonl"], "Format; by the file's ending if absent."),
  ),
  delimiter: Type.Optional(
    text("Character between the fields of a CSV file.", {
      maxLength: 1,
      pattern: '^[^\\r\\n"]$',
      title: "one character",
    }),
  ),
  header: Type.Optional(
    Type.Boolean({ description: "Whether the first line of a CSV or TSV file names the columns." }),
  ),
  keys: Type.Array(key, {
    minItems: 1,
    maxItems: 4,
    description: "What to match on. Several keys: a row matches if all of them do, or any (match).",
  }),
  match: Type.Optional(
    choice(
      ["all", "any"],
      "all (default): the columns together are one item. any: each column is an identifier of its own, such as e-mail or phone, and one in common is enough. Must match the peer's.",
    ),
  ),
});

const output = strict({
  path: text("Table to write; relative to this file. Must not exist."),
  format: choice(["csv", "parquet"], "Format of the output."),
  rows: Type.Optional(
    choice(
      ["matched", "unmatched", "all"],
      "Rows whose item is common (default); all others; or every row, with a column matched of 1 or 0.",
    ),
  ),
});

const address = (description: string) =>
  text(description, { pattern: "^.+:[0-9]{1,5}$", title: "host:port, such as 0.0.0.0:7443" });

const items = (description: string, minimum: number) =>
  Type.Integer({ minimum, maximum: 100_000_000, description });

const document = strict(
  {
    version: Type.Literal(1, { description: "Version of this format." }),
    workload: Type.Literal("psi"),
    role: choice(["receiver", "sender"], "The receiver learns the result first."),
    identity: Type.Optional(text("Name of the identity to act as; needed if there are several.")),
    policy: text("What the peer must prove; relative to this file."),
    listen: Type.Optional(address("Address to wait on for the peer; one side listens.")),
    connect: Type.Optional(address("Address of the peer; the other side connects.")),
    evidence: choice(
      evidenceSources,
      "How this side proves itself. auto: by what this machine has. Simulated evidence isolates nothing.",
    ),
    tpm: Type.Optional(
      text("TPM to ask, with evidence tpm, azure or auto: a device, tcp:host:port or unix:path.", {
        pattern: "^(/|tcp:|unix:/)",
        title: "/dev/tpmrm0, tcp:host:port or unix:/path",
      }),
    ),
    collateral: Type.Optional(
      Type.Array(
        text("File of certificates, CRLs, TCB info or trust anchors; relative to this file."),
        {
          minItems: 1,
          maxItems: 32,
          uniqueItems: true,
          description: "What the peer's hardware evidence is verified with. Nothing is fetched.",
        },
      ),
    ),
    input,
    output: Type.Optional(output),
    protocol: Type.Optional(
      choice(
        ["ecdh", "attested"],
        "What keeps the sets apart: cryptography (default), or the peer's TEE alone, for many times the speed.",
      ),
    ),
    mode: choice(
      ["intersection", "cardinality", "labels", "sum"],
      "The common items; only their number; the common items with columns of the sender; or the sum of a column of the sender over them.",
    ),
    labels: Type.Optional(
      strict(
        {
          columns: Type.Array(text("Column of the sender's table."), {
            minItems: 1,
            maxItems: 16,
            uniqueItems: true,
            description: "Columns that the receiver gets for the items in common.",
          }),
          maxBytes: Type.Integer({
            minimum: 1,
            maximum: 4096,
            description:
              "Most bytes of a label: its values as a JSON array. All labels are padded to it.",
          }),
        },
        { description: "With mode labels; must match the peer's." },
      ),
    ),
    sum: Type.Optional(
      strict(
        {
          column: text("Column of the sender's table, of decimal numbers."),
          decimals: Type.Integer({
            minimum: 0,
            maximum: 9,
            description: "Most digits behind the decimal point.",
          }),
          minMatches: Type.Integer({
            minimum: 1,
            maximum: 100_000_000,
            description: "Least number of common items with which there is a result.",
          }),
        },
        { description: "With mode sum; must match the peer's." },
      ),
    ),
    resultTo: choice(["receiver", "both"], "Who learns the result."),
    minItems: Type.Optional(
      items("Distinct items each side must bring at least; must match the peer's. Default 0.", 0),
    ),
    maxItems: Type.Optional(
      items("Distinct items each side may bring at most; must match the peer's.", 1),
    ),
    receipt: text("Signed receipt to write; relative to this file. Must not exist."),
    checkpoint: Type.Optional(
      strict(
        {
          directory: text(
            "Directory of this run's checkpoint; relative to this file. Made if absent.",
          ),
          key: text(
            "File with the 32 bytes that it is sealed under; relative to this file, and not in that directory.",
          ),
        },
        { description: "Lets the run go on after a crash; both sides need one. Off if absent." },
      ),
    ),
    timeoutSeconds: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 86_400,
        description: "How long to wait for the peer, and for the whole run. Default 3600.",
      }),
    ),
    metrics: Type.Optional(address("Address to serve metrics on; off if absent.")),
  },
  {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "vivarium psi run",
    oneOf: [{ required: ["listen"] }, { required: ["connect"] }],
  },
);

/** The schema that editors get as JSON Schema; rules across fields are in `psi.ts`. */
export const psiSchema: TUnsafe<PsiDocument> = Type.Unsafe<Static<typeof document>>(document);
