/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const servingErrorCodes = [
  /** The request or the configuration is wrong; the message names the part. */
  "invalid-argument",
  /** There is no such model, version or label. */
  "not-found",
  /** The queue is full; the message says when to come again. */
  "overloaded",
  /** No answer before the request's deadline. */
  "deadline",
  /** The model's file cannot be read, or is another one than was agreed. */
  "bad-model",
  /** The model failed at this input. */
  "failed",
  /** The server answers with another model than the client wants. */
  "wrong-model",
  /** The server is stopping. */
  "closed",
  /** Cancelled through the `AbortSignal`. */
  "aborted",
  /** The peer sent what the protocol has not. */
  "protocol",
] as const;
export type ServingErrorCode = (typeof servingErrorCodes)[number];

export class ServingError extends VivariumError<ServingErrorCode> {
  override readonly name = "ServingError";
  readonly domain = "serving";
}

/** How to rebuild a {@link ServingError} behind a thread, a process or a channel. */
export const servingErrorClass: ErrorClass = {
  domain: "serving",
  codes: servingErrorCodes,
  create: (code, message) => new ServingError(code as ServingErrorCode, message),
};
