/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const psiErrorCodes = [
  /** A caller passed a value outside its documented range: fix the call or the configuration. */
  "invalid-argument",
  /** The parties' configurations differ; the message names each field and both values. */
  "config-mismatch",
  /** The policy of this side does not allow the protocol, or the peer's worker is not isolated enough. */
  "not-allowed",
  /** A checkpoint that cannot be opened, or of another role, configuration, input or peer. */
  "checkpoint",
  /** A set is larger or smaller than the agreed rule allows. */
  "size",
  /** Fewer common items than the agreed `sum.minMatches`: there is no result. */
  "too-few-matches",
  /** The peer sent a low-order or non-canonical point: it does not run this protocol. */
  "invalid-point",
  /** The peer sent a point twice: it does not run this protocol. */
  "duplicate-point",
  /** Two tags of one list are equal. By chance less than once in 2^40 runs: run again. */
  "collision",
  /** A frame of another type, length or order than the protocol has. */
  "protocol",
  /** The parties saw different transcripts or counts; nothing of the result is kept. */
  "transcript-mismatch",
  /** The peer gave up; the message has its code. */
  "peer-aborted",
  /** The channel ended before the protocol did. */
  "connection-lost",
  /** The peer was silent for longer than `idleTimeoutMs`. */
  "timeout",
  /** Cancelled through the `AbortSignal`. */
  "aborted",
  /** Something of this side failed: the table, the pool, the disk; see the cause. */
  "failed",
] as const;
export type PsiErrorCode = (typeof psiErrorCodes)[number];

export class PsiError extends VivariumError<PsiErrorCode> {
  override readonly name = "PsiError";
  readonly domain = "psi";
}

/** How to rebuild a {@link PsiError} behind a thread or a process. */
export const psiErrorClass: ErrorClass = {
  domain: "psi",
  codes: psiErrorCodes,
  create: (code, message) => new PsiError(code as PsiErrorCode, message),
};

/** Anything thrown on this side as a {@link PsiError}; the message of a Vivarium error is kept. */
export function toPsiError(thrown: unknown): PsiError {
  if (thrown instanceof PsiError) return thrown;
  if (thrown instanceof VivariumError) {
    if (thrown.code === "aborted") {
      return new PsiError("aborted", "The run was cancelled.", { cause: thrown });
    }
    return new PsiError("failed", `${thrown.id}: ${thrown.message}`, { cause: thrown });
  }
  return new PsiError("failed", "The run failed on this side.", { cause: thrown });
}
