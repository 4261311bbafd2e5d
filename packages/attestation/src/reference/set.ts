/**
 * Reference values as records: each is one known-good state, whose values are valid together only. A flat list
 * per name would also accept the firmware of one release with the kernel of another.
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { recordFields } from "../policy-schema.ts";
import { textOfBytes } from "../reader.ts";

/** How a record came about. `recorded`: some machine reported it; as true as that machine was. */
export const referenceOrigins = ["recorded", "computed", "imported"] as const;
export type ReferenceOrigin = (typeof referenceOrigins)[number];

export interface ReferenceSource {
  /** For people: a file's name, or a tag's. */
  readonly name: string;
  /** SHA-256 of its bytes, hexadecimal. */
  readonly sha256: string;
}

export interface ReferenceRecord {
  /** For people: `web server 1.2`. */
  readonly name: string;
  readonly type: EvidenceType;
  /** Allowed values, as in a policy's record. */
  readonly measurements: Readonly<Record<string, readonly string[]>>;
  readonly minimumSvn: Readonly<Record<string, number>>;
  /** Relaxations that this state needs. */
  readonly allow?: readonly string[];
  /** Trust anchor, for types whose policies must name it. */
  readonly root?: string;
  /** ISO 8601, UTC: not a reference any more from then on. */
  readonly notAfter?: string;
  readonly origin: {
    readonly how: ReferenceOrigin;
    /** ISO 8601, UTC. */
    readonly at: string;
    readonly sources: readonly ReferenceSource[];
  };
}

export interface ReferenceSet {
  readonly version: 1;
  readonly references: readonly ReferenceRecord[];
}

export const referenceLimits = {
  bytes: 4_194_304,
  records: 1_024,
  sources: 32,
} as const;

const closed = { additionalProperties: false } as const;
const text = Type.String({ minLength: 1, maxLength: 200 });
const time = Type.String({ pattern: "^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{3})?Z$" });

const record = Type.Object(
  {
    name: text,
    type: recordFields.type,
    measurements: recordFields.measurements,
    minimumSvn: recordFields.minimumSvn,
    allow: Type.Optional(recordFields.allow),
    root: Type.Optional(recordFields.root),
    notAfter: Type.Optional(time),
    origin: Type.Object(
      {
        how: Type.Union(referenceOrigins.map((how) => Type.Literal(how))),
        at: time,
        sources: Type.Array(
          Type.Object({ name: text, sha256: Type.String({ pattern: "^[0-9a-f]{64}$" }) }, closed),
          { maxItems: referenceLimits.sources },
        ),
      },
      closed,
    ),
  },
  closed,
);

const set: TSchema = Type.Object(
  {
    version: Type.Literal(1),
    references: Type.Array(record, { minItems: 1, maxItems: referenceLimits.records }),
  },
  closed,
);

/** @throws AttestationError `malformed`, naming the first bad field by its path. */
export function checkReferences(document: unknown): ReferenceSet {
  const [problem] = Value.Errors(set, document);
  if (problem !== undefined) {
    const where = problem.path === "" ? "/" : problem.path.slice(0, 200);
    fail(`is refused at ${where}: ${problem.message}`);
  }
  const checked = document as ReferenceSet;
  for (const { notAfter, origin } of checked.references) {
    for (const at of [notAfter, origin.at]) {
      if (at !== undefined && Number.isNaN(Date.parse(at))) fail("has a time that is none");
    }
  }
  return checked;
}

/** @throws AttestationError `malformed`. */
export function parseReferences(bytes: Uint8Array): ReferenceSet {
  if (bytes.length > referenceLimits.bytes) fail(`is over ${referenceLimits.bytes} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(textOfBytes("Reference set", bytes));
  } catch (cause) {
    if (cause instanceof AttestationError) throw cause;
    throw new AttestationError("malformed", "The reference set is not JSON.", { cause });
  }
  return checkReferences(document);
}

/** @throws AttestationError `malformed` for records that would not be read back. */
export function encodeReferences(references: readonly ReferenceRecord[]): Uint8Array<ArrayBuffer> {
  const whole: ReferenceSet = { version: 1, references };
  checkReferences(whole);
  return utf8(`${JSON.stringify(whole, null, 2)}\n`);
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The reference set ${reason}.`);
}
