/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const sealErrorCodes = [
  /** A message, receipt or file does not have its form. */
  "malformed",
  /** A length or count is over its named limit. */
  "limit-exceeded",
  /** A caller of the library passed a value outside its documented range. */
  "invalid-argument",
  /** A message does not decrypt, or is not from the sender it should be from. */
  "not-authentic",
  /** A message with this id has been opened before, or is too old or too far ahead to tell. */
  "replayed",
  /** A receipt's signature or delegation does not verify, or its party is not one of ours. */
  "not-genuine",
  /** The key does not open this file: it is another key, or the wrapped key was altered. */
  "wrong-key",
  /** The header of a sealed file was altered. */
  "header-altered",
  /** Header and content of a sealed file do not belong together. */
  "header-swapped",
  /** The writing of a sealed file was never finished. */
  "incomplete",
  /** A sealed file is shorter than its header says. */
  "truncated",
  /** A sealed file is longer than its header says. */
  "extended",
  /** A chunk of a sealed file was altered. */
  "chunk-altered",
  /** A chunk of a sealed file stands where another one belongs. */
  "reordered",
  /** A sealed file is authentic, but under another name or of another type. */
  "renamed",
  /** A sealed file or counter is older than the newest one known. */
  "rolled-back",
  /** A secret, file or recipient was used after it was closed. */
  "closed",
  /** A file or directory could not be read or written. */
  "unavailable",
] as const;
export type SealErrorCode = (typeof sealErrorCodes)[number];

export class SealError extends VivariumError<SealErrorCode> {
  override readonly name = "SealError";
  readonly domain = "seal";
}

/** How to rebuild a {@link SealError} behind a thread. */
export const sealErrorClass: ErrorClass = {
  domain: "seal",
  codes: sealErrorCodes,
  create: (code, message) => new SealError(code as SealErrorCode, message),
};
