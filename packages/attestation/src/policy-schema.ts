/** The JSON Schema of a policy document: what the parser checks and what editors are given. */
import { type Static, type TSchema, type TUnsafe, Type } from "@sinclair/typebox";
import {
  type Binding,
  type EvidenceType,
  evidenceTypes,
  type Isolation,
  tcbStatuses,
} from "./evidence.ts";
import type { Policy } from "./policy.ts";

/** Bounds of a policy document. */
export const policyLimits = {
  roles: 16,
  identities: 1024,
  records: 64,
  measurements: 32,
  values: 256,
  svns: 32,
  relaxations: 32,
  attributes: 32,
} as const;

const closed = { additionalProperties: false } as const;

function oneOf<Value extends string>(
  values: readonly Value[],
  description: string,
): TUnsafe<Value> {
  const literals = values.map((value) => Type.Literal(value));
  return Type.Unsafe<Value>(Type.Union(literals, { description }));
}

const name = (pattern: string): ReturnType<typeof Type.String> => Type.String({ pattern });

const fingerprint = Type.String({
  pattern: "^sha256:[0-9a-f]{64}$",
  description: "sha256: and 64 lower-case hexadecimal digits: SHA-256 of the key's SPKI DER.",
});

/** Whole digests only: a shorter value would match whatever begins with it in a careless verifier. */
const measurement = Type.String({
  pattern: "^(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$",
  description: "A whole SHA-256, SHA-384 or SHA-512 digest in lower-case hexadecimal.",
});

/** One name each, `tee.reason`: no pattern of a policy's may stand for several. */
const relaxationName = "^[a-z][a-z0-9-]{0,31}\\.[a-z][a-z0-9-]{0,47}$";

/** `Revoked` is missing on purpose: no policy can accept it. */
const acceptableTcb = tcbStatuses.filter((status) => status !== "Revoked");

/** What a policy's record and a reference's have in common: what evidence must show. */
export const recordFields: {
  readonly type: TUnsafe<EvidenceType>;
  readonly root: TUnsafe<string>;
  readonly measurements: TUnsafe<Readonly<Record<string, readonly string[]>>>;
  readonly minimumSvn: TUnsafe<Readonly<Record<string, number>>>;
  readonly allow: TUnsafe<readonly string[]>;
} = {
  type: oneOf(evidenceTypes, "Type of evidence."),
  root: Type.Unsafe<string>(fingerprint),
  measurements: Type.Unsafe(
    Type.Record(
      name("^[a-z][a-z0-9_]{0,63}$"),
      Type.Array(measurement, { minItems: 1, maxItems: policyLimits.values, uniqueItems: true }),
      { ...closed, minProperties: 1, maxProperties: policyLimits.measurements },
    ),
  ),
  minimumSvn: Type.Unsafe(
    Type.Record(
      name("^[a-z][a-z0-9_]{0,63}$"),
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      { ...closed, maxProperties: policyLimits.svns },
    ),
  ),
  allow: Type.Unsafe(
    Type.Array(Type.String({ pattern: relaxationName }), {
      maxItems: policyLimits.relaxations,
      uniqueItems: true,
      description: "Relaxations of the strict default, each by its name. Absent: none.",
    }),
  ),
};

const record = Type.Object(
  {
    type: recordFields.type,
    isolation: oneOf<Isolation>(
      ["tee", "none", "simulated"],
      "What separates the worker from its host.",
    ),
    binding: oneOf<Binding>(
      ["session", "key-only", "launch-secret"],
      "What the evidence is bound to.",
    ),
    root: Type.Optional(recordFields.root),
    measurements: recordFields.measurements,
    minimumSvn: recordFields.minimumSvn,
    tcb: Type.Array(oneOf(acceptableTcb, "An acceptable TCB state."), {
      minItems: 1,
      uniqueItems: true,
    }),
    allow: Type.Optional(recordFields.allow),
    require: Type.Optional(
      Type.Record(name("^[a-z][a-z0-9_]{0,63}$"), Type.Boolean(), {
        ...closed,
        maxProperties: policyLimits.attributes,
        description: "Switches of the platform that must be as stated.",
      }),
    ),
    debug: Type.Literal(false, { description: "Debug evidence is never acceptable." }),
    maxAgeSeconds: Type.Integer({ minimum: 10, maximum: 86_400 }),
  },
  {
    ...closed,
    description: "One acceptable state of a worker; its values are valid together only.",
  },
);

const role = Type.Object(
  {
    identities: Type.Array(fingerprint, {
      minItems: 1,
      maxItems: policyLimits.identities,
      uniqueItems: true,
      description: "Parties that may act in this role.",
    }),
    accept: Type.Array(record, { minItems: 1, maxItems: policyLimits.records }),
  },
  closed,
);

const policy = Type.Object(
  {
    version: Type.Literal(1),
    name: Type.String({ minLength: 1, maxLength: 200, description: "For people." }),
    roles: Type.Record(name("^[a-z][a-z0-9-]{0,31}$"), role, {
      ...closed,
      minProperties: 1,
      maxProperties: policyLimits.roles,
      description: "What each role of the workload must prove.",
    }),
  },
  {
    ...closed,
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Vivarium policy",
    description: "Who may be a peer and what must be proven. Every security field is required.",
  },
);

/** JSON Schema (2020-12) of a policy document; shipped as `schema/policy.schema.json`. */
export const policySchema: TSchema = policy;

/** For a value that has passed the schema; compiles only while schema and type say the same. */
export function asPolicy(checked: unknown): Policy {
  const document = checked as Static<typeof policy>;
  return document;
}
