/** The schemas of a federated plan, which all parties share, and of one party's `federated run`. */
import { type Static, type TObject, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import { strategyNames } from "@vivarium/federated";
import { type EvidenceSource, evidenceSources } from "../evidence/source.ts";

/** As in the file. Numbers that are left out have the defaults of `federated.ts`. */
export interface PlanDocument {
  version: 1;
  name: string;
  model: { kind: "linear"; classes: number; features: number; input: "text" | "numbers" };
  training: { epochs: number; batchSize: number; learningRate: number; l2?: number };
  strategy: { name: string; settings?: Record<string, number>; clipNorm?: number };
  privacy?: { clipNorm: number; noiseMultiplier: number; delta: number; maxEpsilon: number };
  rounds: number;
  minAvailable: number;
  sampleSize?: number;
  minResponses?: number;
  graceSeconds?: number;
  deadlineSeconds?: number;
  evaluateEvery?: number;
  patience?: number;
  seed: number;
}

export interface FederatedDocument {
  version: 1;
  workload: "federated";
  role: "aggregator" | "participant";
  identity?: string;
  policy: string;
  plan: string;
  listen?: string;
  connect?: string;
  evidence: EvidenceSource;
  tpm?: string;
  collateral?: string[];
  stateKey?: string;
  output?: string;
  receipts?: string;
  data?: { path: string; testShare: number };
  cohort?: { minimum: number; identities: string[] | "any" };
  timeoutSeconds?: number;
  metrics?: string;
}

const strict = <T extends Record<string, TSchema>>(
  properties: T,
  options: Record<string, unknown> = {},
): TObject<T> => Type.Object(properties, { additionalProperties: false, ...options });

const choice = <const T extends string>(values: readonly T[], description: string): TUnsafe<T> =>
  Type.Unsafe<T>({
    ...Type.Union(values.map((value) => Type.Literal(value))),
    description,
  });

const text = (description: string, options: Record<string, unknown> = {}) =>
  Type.String({ minLength: 1, maxLength: 4096, description, ...options });

const whole = (description: string, minimum: number, maximum: number) =>
  Type.Integer({ minimum, maximum, description });

const address = (description: string) =>
  text(description, { pattern: "^.+:[0-9]{1,5}$", title: "host:port, such as 0.0.0.0:7443" });

const plan = strict(
  {
    version: Type.Literal(1, { description: "Version of this format." }),
    name: text("Name of the run: a-z, 0-9 and -.", {
      pattern: "^[a-z0-9][a-z0-9-]{0,62}$",
      title: "a name of a-z, 0-9 and -",
    }),
    model: strict({
      kind: Type.Literal("linear", { description: "Softmax regression." }),
      classes: whole("Labels are 0 to classes - 1.", 2, 10_000),
      features: whole("Numbers of a row; or buckets that words are hashed to.", 1, 2 ** 24),
      input: choice(["text", "numbers"], "What the data's lines hold beside their label."),
    }),
    training: strict({
      epochs: whole("Passes over its data that a participant makes in a round.", 1, 1_000),
      batchSize: whole("Examples of one step.", 1, 65_536),
      learningRate: Type.Number({ exclusiveMinimum: 0, description: "Of the participants." }),
      l2: Type.Optional(Type.Number({ minimum: 0, description: "Weight decay. Default 0." })),
    }),
    strategy: strict({
      name: choice(strategyNames, "How the aggregator makes a model of the updates."),
      settings: Type.Optional(
        Type.Record(Type.String(), Type.Number(), { description: "Of the strategy, by name." }),
      ),
      clipNorm: Type.Optional(
        Type.Number({ exclusiveMinimum: 0, description: "Norm that each update is cut down to." }),
      ),
    }),
    privacy: Type.Optional(
      strict({
        clipNorm: Type.Number({
          exclusiveMinimum: 0,
          maximum: 64,
          description: "Norm that each update is cut down to.",
        }),
        noiseMultiplier: Type.Number({
          exclusiveMinimum: 0,
          description: "Standard deviation of the noise, over clipNorm.",
        }),
        delta: Type.Number({
          exclusiveMinimum: 0,
          maximum: 0.1,
          description: "Of (epsilon, delta).",
        }),
        maxEpsilon: Type.Number({ exclusiveMinimum: 0, description: "What all rounds may spend." }),
      }),
    ),
    rounds: whole("Rounds of the run.", 1, 1_000_000),
    minAvailable: whole("A round begins when so many participants are there.", 1, 100_000),
    sampleSize: Type.Optional(
      whole("Participants drawn for a round. Default: minAvailable.", 1, 100_000),
    ),
    minResponses: Type.Optional(
      whole("A round needs so many updates. Default: the smaller of both above.", 1, 100_000),
    ),
    graceSeconds: Type.Optional(
      Type.Number({ minimum: 0, maximum: 86_400, description: "Wait for the rest. Default 10." }),
    ),
    deadlineSeconds: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        maximum: 86_400,
        description: "Of each phase. Default 600.",
      }),
    ),
    evaluateEvery: Type.Optional(whole("Rounds between evaluations. Default 1.", 1, 1_000_000)),
    patience: Type.Optional(
      whole("End after so many evaluations without a lower loss. Default 0: never.", 0, 1_000_000),
    ),
    seed: whole("Of all draws.", 0, 2 ** 32 - 1),
  },
  { $schema: "http://json-schema.org/draft-07/schema#", title: "vivarium federated plan" },
);

const document = strict(
  {
    version: Type.Literal(1, { description: "Version of this format." }),
    workload: Type.Literal("federated"),
    role: choice(["aggregator", "participant"], "The aggregator listens, participants connect."),
    identity: Type.Optional(text("Name of the identity to act as; needed if there are several.")),
    policy: text("What peers must prove; relative to this file."),
    plan: text("Plan of the run, the same for every party; relative to this file."),
    listen: Type.Optional(address("Aggregator: address to wait on.")),
    connect: Type.Optional(address("Participant: address of the aggregator.")),
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
      Type.Array(text("File of certificates, CRLs, TCB info or trust anchors."), {
        minItems: 1,
        maxItems: 32,
        uniqueItems: true,
        description: "What peers' hardware evidence is verified with. Nothing is fetched.",
      }),
    ),
    stateKey: Type.Optional(
      text("File of 32 bytes that seal the state. Default: one in the state directory itself."),
    ),
    output: Type.Optional(text("Aggregator: model to write, safetensors. Must not exist.")),
    receipts: Type.Optional(text("Directory for the signed receipts of the rounds.")),
    data: Type.Optional(
      strict({
        path: text("Participant: JSON lines with text or numbers, and label."),
        testShare: Type.Number({
          minimum: 0,
          maximum: 0.9,
          description: "Share of the lines that is never trained on.",
        }),
      }),
    ),
    cohort: Type.Optional(
      strict({
        minimum: whole("Participant: a round must hold the updates of so many.", 1, 100_000),
        identities: Type.Union([Type.Literal("any"), Type.Array(text("Fingerprint."))], {
          description: "Those that count, or any: whoever the aggregator attested.",
        }),
      }),
    ),
    timeoutSeconds: Type.Optional(
      whole("Longest search for the aggregator. Default 3600.", 1, 86_400),
    ),
    metrics: Type.Optional(address("Address to serve metrics on; off if absent.")),
  },
  { $schema: "http://json-schema.org/draft-07/schema#", title: "vivarium federated run" },
);

export const planSchema: TUnsafe<PlanDocument> = Type.Unsafe<PlanDocument>(plan);
/** Rules across fields are in `federated.ts`. */
export const federatedSchema: TUnsafe<FederatedDocument> = Type.Unsafe<Static<typeof document>>(
  document,
) as TUnsafe<FederatedDocument>;
