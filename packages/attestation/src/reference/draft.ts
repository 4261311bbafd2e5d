/** A reference in the making: what is put into it, and what was left out. */
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import type { ReferenceRecord } from "./set.ts";

export interface Draft {
  readonly name: string;
  readonly type: EvidenceType;
  readonly measurements: Readonly<Record<string, readonly string[]>>;
  readonly minimumSvn: Readonly<Record<string, number>>;
  /** Milliseconds since the epoch. */
  readonly notAfter?: number;
}

export interface Drafts {
  readonly drafts: readonly Draft[];
  /** What the file says and no reference holds, for people. */
  readonly unused: readonly string[];
}

/** Values by measurement, without repetition. */
export class DraftValues {
  readonly #values = new Map<string, Set<string>>();

  add(name: string, value: string): void {
    const known = this.#values.get(name) ?? new Set();
    this.#values.set(name, known.add(value));
  }

  get measurements(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries([...this.#values].map(([name, values]) => [name, [...values]]));
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }
}

/**
 * One state of what several parts say together: the platform's and the realm's of Arm, for instance.
 * @throws AttestationError `malformed` for parts of two types, or that differ on a measurement.
 */
export function joinDrafts(drafts: readonly Draft[]): Draft {
  const [first, ...rest] = drafts;
  if (first === undefined) throw new AttestationError("malformed", "There is nothing to join.");
  return rest.reduce((whole, part) => {
    if (part.type !== whole.type) {
      fail(`one is of ${whole.type}, another of ${part.type}`);
    }
    for (const [name, values] of Object.entries(part.measurements)) {
      const before = Object.hasOwn(whole.measurements, name) ? whole.measurements[name] : undefined;
      if (before !== undefined && before.join() !== values.join()) fail(`they differ on ${name}`);
    }
    const ends = [whole.notAfter, part.notAfter].filter((end) => end !== undefined);
    return {
      name: `${whole.name}, ${part.name}`.slice(0, 200),
      type: whole.type,
      measurements: { ...whole.measurements, ...part.measurements },
      minimumSvn: { ...whole.minimumSvn, ...part.minimumSvn },
      ...(ends.length === 0 ? {} : { notAfter: Math.min(...ends) }),
    };
  }, first);
}

/** The record that a draft becomes. */
export function recordOfDraft(draft: Draft, origin: ReferenceRecord["origin"]): ReferenceRecord {
  const { name, type, measurements, minimumSvn, notAfter } = draft;
  return {
    ...{ name, type, measurements, minimumSvn },
    ...(notAfter === undefined ? {} : { notAfter: timeText(notAfter) }),
    origin,
  };
}

function timeText(ms: number): string {
  if (!(Math.abs(ms) <= 253_402_300_799_000)) fail("one has an impossible end");
  return new Date(ms).toISOString();
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `These references are not of one state: ${reason}.`);
}
