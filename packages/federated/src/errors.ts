/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const federatedErrorCodes = [
  /** A caller passed a value outside its documented range: fix the call or the configuration. */
  "invalid-argument",
  /** An update has another size, a value that is no number, or is over the agreed bound. */
  "bad-update",
  /** Fewer updates than the strategy needs. */
  "too-few",
  /** A participant's own data cannot be read; the message names the line and not its content. */
  "bad-data",
  /** The parties' plans differ; the message names each field. */
  "plan-mismatch",
  /** The peer asked for what this run must not give: an old round, another set, a smaller cohort. */
  "refused",
  /** The peer sent what the protocol has not. */
  "protocol",
  /** Participants, updates or keys did not come in time; a run with a state can go on. */
  "timeout",
  /** The state belongs to another run, model or plan. */
  "wrong-state",
  /** Cancelled through the `AbortSignal`. */
  "aborted",
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
