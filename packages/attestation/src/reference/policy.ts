/** From reference values to what a policy accepts. */
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import type { PolicyRecord } from "../policy.ts";
import { natureOf } from "../policy-parse.ts";
import type { ReferenceRecord } from "./set.ts";

export interface PolicyRecordOptions {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** How long a result lives before the peer must attest again. */
  readonly maxAgeSeconds: number;
}

/**
 * One record of a role's `accept` list for one reference: evidence must match one of them as a whole.
 * @throws AttestationError `expired` for a reference past its time.
 */
export function policyRecordOf(
  reference: ReferenceRecord,
  { now, maxAgeSeconds }: PolicyRecordOptions,
): PolicyRecord {
  const { name, type, notAfter, root, allow, measurements, minimumSvn } = reference;
  if (notAfter !== undefined && Date.parse(notAfter) <= now) {
    throw new AttestationError("expired", `The reference "${name}" was valid until ${notAfter}.`);
  }
  return {
    type,
    ...natureOfType(type),
    ...(root === undefined ? {} : { root }),
    measurements,
    minimumSvn,
    tcb: ["UpToDate"],
    ...(allow === undefined ? {} : { allow }),
    debug: false,
    maxAgeSeconds,
  };
}

function natureOfType(type: EvidenceType): Pick<PolicyRecord, "isolation" | "binding"> {
  const [isolation, bindings] = natureOf(type);
  return { isolation, binding: bindings[0] };
}
