/** Evidence over a binding: collected for our role, appraised for the peer's. */
import {
  type AttestationResult,
  type Attester,
  decodeEvidence,
  type Evidence,
  encodeEvidence,
  type Statement,
} from "@vivarium/attestation";
import { ChannelError, refusal } from "../errors.ts";
import type { Verifying } from "../options.ts";
import type { ProvenIdentity } from "./identity.ts";

/** @throws AttestationError `unavailable` if the platform gives none. */
export async function collectEvidence(
  attester: Attester,
  binding: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  return encodeEvidence(await attester.collect(binding, { signal }));
}

export interface EvidenceExpectation {
  readonly verifying: Verifying;
  readonly role: string;
  readonly statement: Statement;
  readonly identity: ProvenIdentity;
  /** The binding *we* computed for the peer. */
  readonly binding: Uint8Array;
}

/**
 * The verdict on the peer.
 * @throws ChannelError `refused` with every failed finding.
 */
export async function appraiseEvidence(
  bytes: Uint8Array,
  expected: EvidenceExpectation,
): Promise<AttestationResult> {
  const { verifying, role, statement, identity, binding } = expected;
  let evidence: Evidence;
  try {
    evidence = decodeEvidence(bytes);
  } catch (cause) {
    throw refusal("evidence.form", "well-formed evidence", "malformed bytes", cause);
  }
  const { collateral = {} } = verifying;
  const appraisal = await verifying.appraiser.appraise({
    evidence,
    collateral: typeof collateral === "function" ? collateral() : collateral,
    policy: verifying.policy,
    role,
    statement,
    identity: identity.fingerprint,
    identityNotAfter: identity.notAfter,
    reportData: binding,
    binding: "session",
  });
  // Only the literal true is acceptance, whatever an appraiser of the user's returns.
  if (appraisal.accepted !== true) {
    const failed = appraisal.findings.filter(({ ok }) => !ok);
    const rules = failed.map(({ rule }) => rule).join(", ");
    throw new ChannelError("refused", `The peer's evidence was refused: ${rules || "no rule"}.`, {
      cause: appraisal.error,
      findings: appraisal.findings,
    });
  }
  return appraisal.result;
}
