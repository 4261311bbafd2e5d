/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const tensorsErrorCodes = [
  /** Bytes that are not of the format, or contradict themselves. */
  "malformed",
  /** A length over its limit. */
  "limit-exceeded",
  /** A format, model or data type that is not known here. */
  "unsupported",
  /** A caller passed a value outside its documented range. */
  "invalid-argument",
] as const;
export type TensorsErrorCode = (typeof tensorsErrorCodes)[number];

export class TensorsError extends VivariumError<TensorsErrorCode> {
  override readonly name = "TensorsError";
  readonly domain = "tensors";
}

/** How to rebuild a {@link TensorsError} behind a thread or a process. */
export const tensorsErrorClass: ErrorClass = {
  domain: "tensors",
  codes: tensorsErrorCodes,
  create: (code, message) => new TensorsError(code as TensorsErrorCode, message),
};
