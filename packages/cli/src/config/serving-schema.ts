/** The schema of a `serving run` configuration. */
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import { type EvidenceSource, evidenceSources } from "../evidence/source.ts";

export interface ServingDocument {
  version: 1;
  workload: "serving";
  identity?: string;
  policy?: string;
  listen: string;
  rest?: string;
  repository: string;
  modelKey?: string;
  digests?: Record<string, string>;
  versions?: Record<string, { latest?: number; specific?: number[] }>;
  labels?: Record<string, Record<string, number>>;
  pollSeconds?: number;
  batching?: { maxRows?: number; maxDelayMs?: number; queue?: number };
  evidence: EvidenceSource;
  tpm?: string;
  collateral?: string[];
  metrics?: string;
}

const strict = <T extends Record<string, TSchema>>(
  properties: T,
  options: Record<string, unknown> = {},
): TObject<T> => Type.Object(properties, { additionalProperties: false, ...options });

const text = (description: string, options: Record<string, unknown> = {}) =>
  Type.String({ minLength: 1, maxLength: 4096, description, ...options });

const whole = (description: string, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description });

const address = (description: string) =>
  text(description, { pattern: "^.+:[0-9]{1,5}$", title: "host:port, such as 0.0.0.0:7443" });

const document = strict(
  {
    version: Type.Literal(1, { description: "Version of this format." }),
    workload: Type.Literal("serving"),
    identity: Type.Optional(text("Name of the identity to act as; needed if there are several.")),
    policy: Type.Optional(
      text("What clients must prove. Without one any client may ask: it verifies the server."),
    ),
    listen: address("Address for attested channels."),
    rest: Type.Optional(address("Loopback address for the REST dialects, in clear.")),
    repository: text("Directory of models; relative to this file."),
    modelKey: Type.Optional(text("File of 32 bytes that opens sealed models.")),
    digests: Type.Optional(
      Type.Record(
        Type.String({ pattern: "^[^/]+/[1-9][0-9]*$" }),
        Type.String({ pattern: "^[0-9a-f]{64}$" }),
        {
          description: "SHA-256 by model/version; others are refused where this is given.",
        },
      ),
    ),
    versions: Type.Optional(
      Type.Record(
        Type.String(),
        strict({
          latest: Type.Optional(whole("The newest so many.", 1, 1_000)),
          specific: Type.Optional(Type.Array(whole("A version.", 1, 2 ** 50), { minItems: 1 })),
        }),
        { description: "Versions that are served, by model. Default: the newest one." },
      ),
    ),
    labels: Type.Optional(
      Type.Record(Type.String(), Type.Record(Type.String(), whole("A version.", 1, 2 ** 50)), {
        description: "Names for versions, by model.",
      }),
    ),
    pollSeconds: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 86_400,
        description: "Between looks at the repository. Default 5; 0: once.",
      }),
    ),
    batching: Type.Optional(
      strict({
        maxRows: Type.Optional(whole("Most rows of one run. Default 1.", 1, 4_096)),
        maxDelayMs: Type.Optional(whole("Longest wait for others. Default 2.", 0, 10_000)),
        queue: Type.Optional(whole("Requests that may wait. Default 1024.", 1, 1_000_000)),
      }),
    ),
    evidence: Type.Unsafe<EvidenceSource>({
      ...Type.Union(evidenceSources.map((value) => Type.Literal(value))),
      description: "How the server proves itself. Simulated evidence isolates nothing.",
    }),
    tpm: Type.Optional(
      text("TPM to ask, with evidence tpm, azure or auto: a device, tcp:host:port or unix:path.", {
        pattern: "^(/|tcp:|unix:/)",
        title: "/dev/tpmrm0, tcp:host:port or unix:/path",
      }),
    ),
    collateral: Type.Optional(
      Type.Array(text("File that clients' hardware evidence is verified with."), {
        minItems: 1,
        maxItems: 32,
        uniqueItems: true,
      }),
    ),
    metrics: Type.Optional(address("Address to serve metrics on; off if absent.")),
  },
  { $schema: "http://json-schema.org/draft-07/schema#", title: "vivarium serving run" },
);

/** Rules across fields are in `serving.ts`. */
export const servingSchema: TUnsafe<ServingDocument> = Type.Unsafe<Static<typeof document>>(
  document,
) as TUnsafe<ServingDocument>;
