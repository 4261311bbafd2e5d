/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";
import type { Finding } from "./evidence.ts";

export const attestationErrorCodes = [
  /** Evidence, token, policy or delegation does not have its form. */
  "malformed",
  /** Evidence or a signature does not verify: it is not what it claims to be. */
  "not-genuine",
  /** Genuine, but the policy refuses it; the findings say which rule. */
  "refused-by-policy",
  /** Evidence, result, delegation or token is past its time. */
  "expired",
  /** A policy document has missing, unknown or contradictory fields. */
  "invalid-policy",
  /** No verifier is registered for this type of evidence. */
  "unknown-type",
  /** The attester's device is absent or refuses. */
  "unavailable",
  /** A service of collateral does not answer, and the cache does not hold what it was asked for. */
  "unreachable",
  /** Something that is not the result of a verifier was offered as one. */
  "not-a-result",
] as const;
export type AttestationErrorCode = (typeof attestationErrorCodes)[number];

export class AttestationError extends VivariumError<AttestationErrorCode> {
  override readonly name = "AttestationError";
  readonly domain = "attestation";
  /** Why, rule by rule. For the local log; a peer gets none of it. */
  readonly findings: readonly Finding[];

  constructor(
    code: AttestationErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly findings?: readonly Finding[] } = {},
  ) {
    super(code, message, options);
    this.findings = options.findings ?? [];
  }
}

/** How to rebuild an {@link AttestationError} behind a thread. */
export const attestationErrorClass: ErrorClass = {
  domain: "attestation",
  codes: attestationErrorCodes,
  create: (code, message) => new AttestationError(code as AttestationErrorCode, message),
};
