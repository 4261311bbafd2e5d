/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const brokerErrorCodes = [
  /** A checkpoint, proof, tile or entry does not have its form. */
  "malformed",
  /** A length or count is over its named limit. */
  "limit-exceeded",
  /** A caller of the library passed a value outside its documented range. */
  "invalid-argument",
  /** A signature of the log, or of a witness that was demanded, does not verify. */
  "not-genuine",
  /** What the log holds is not what its checkpoint says: something was changed or taken out. */
  "tampered",
  /** Two checkpoints do not belong to one growing log: it was set back, or has two histories. */
  "forked",
  /** The policy of a resource, its owner or its end refuses the release. */
  "refused",
  /** There is no such resource. */
  "not-found",
  /** There is a resource of that name already. */
  "exists",
  /** The broker's store, or its log, is older than the other one or than the outside knows. */
  "rolled-back",
  /** Another process writes this log or store. */
  "in-use",
  /** The log or store could not be read or written. */
  "unavailable",
  /** The log or broker was used after it was closed. */
  "closed",
] as const;
export type BrokerErrorCode = (typeof brokerErrorCodes)[number];

export class BrokerError extends VivariumError<BrokerErrorCode> {
  override readonly name = "BrokerError";
  readonly domain = "broker";
}

/** How to rebuild a {@link BrokerError} behind a thread. */
export const brokerErrorClass: ErrorClass = {
  domain: "broker",
  codes: brokerErrorCodes,
  create: (code, message) => new BrokerError(code as BrokerErrorCode, message),
};
