/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const opsErrorCodes = [
  /** Options outside their documented range. */
  "invalid-argument",
  /** The listener of health and metrics could not be opened. */
  "listen-failed",
] as const;
export type OpsErrorCode = (typeof opsErrorCodes)[number];

export class OpsError extends VivariumError<OpsErrorCode> {
  override readonly name = "OpsError";
  readonly domain = "ops";
}

/** How to rebuild an {@link OpsError} behind a thread. */
export const opsErrorClass: ErrorClass = {
  domain: "ops",
  codes: opsErrorCodes,
  create: (code, message) => new OpsError(code as OpsErrorCode, message),
};
