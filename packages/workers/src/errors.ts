/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const workersErrorCodes = [
  /** A bundle could not be built: an import does not resolve, or code would load from elsewhere. */
  "build-failed",
  /** A manifest does not have its form. */
  "invalid-manifest",
  /** A file is not the one that the manifest names; the message gives both digests. */
  "digest-mismatch",
  /** An option has a value outside its documented range. */
  "invalid-argument",
  /** An isolation that the caller required is not available here. */
  "isolation-unavailable",
  /** The process did not start, or did not say hello in time. */
  "start-failed",
  /** The process broke the protocol between it and its launcher; it was killed. */
  "protocol",
  /** The process was killed by a signal that its launcher did not ask for. */
  "killed",
  /** The process ended without handing back a result. */
  "exited",
  /** The work was cancelled: stopped, drained, or by its `AbortSignal`. */
  "aborted",
  /** A task ran longer than its time. */
  "timeout",
  /** A queue is full or the pool takes no more work; try later. */
  "quota-exceeded",
  /** No task of this name is registered in the bundle. */
  "unknown-task",
  /** A task's thread died: out of memory, an exit, an uncaught error. */
  "task-crashed",
  /** The attestation result does not allow this release. */
  "release-refused",
  /** A secret could not be had from its source: refused, absent, or the source does not answer. */
  "secret-unavailable",
] as const;
export type WorkersErrorCode = (typeof workersErrorCodes)[number];

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
}

export class WorkersError extends VivariumError<WorkersErrorCode> {
  override readonly name = "WorkersError";
  readonly domain = "workers";
  /** How the process ended, for `killed`, `exited` and `start-failed` where it is known. */
  readonly exit: Exit | undefined;

  constructor(
    code: WorkersErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly exit?: Exit } = {},
  ) {
    super(code, message, options);
    this.exit = options.exit;
  }
}

/** How to rebuild a {@link WorkersError} behind a thread or a process. */
export const workersErrorClass: ErrorClass = {
  domain: "workers",
  codes: workersErrorCodes,
  create: (code, message) => new WorkersError(code as WorkersErrorCode, message),
};
