/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const federatedErrorCodes = [
  /** A caller passed a value outside its documented range: fix the call or the configuration. */
  "invalid-argument",
  /** An update has another size, a value that is no number, or is over the agreed bound. */
  "bad-update",
  /** Fewer updates than the strategy needs. */
  "too-few",
] as const;
export type FederatedErrorCode = (typeof federatedErrorCodes)[number];

export class FederatedError extends VivariumError<FederatedErrorCode> {
  override readonly name = "FederatedError";
  readonly domain = "federated";
}

/** How to rebuild a {@link FederatedError} behind a thread or a process. */
export const federatedErrorClass: ErrorClass = {
  domain: "federated",
  codes: federatedErrorCodes,
  create: (code, message) => new FederatedError(code as FederatedErrorCode, message),
};
