/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const curve25519ErrorCodes = [
  /** A point has small order (curve or twist), or a product is the neutral element: abort the protocol. */
  "low-order",
  /** A u-coordinate is not below p = 2^255 - 19, or has bit 255 set: abort the protocol. */
  "non-canonical",
  /** A caller passed bytes of the wrong shape: fix the caller. */
  "invalid-argument",
  /** An item, batch or tag is over its named limit. */
  "limit-exceeded",
  /** No engine of that name works on this runtime. */
  "unsupported",
] as const;
export type Curve25519ErrorCode = (typeof curve25519ErrorCodes)[number];

export class Curve25519Error extends VivariumError<Curve25519ErrorCode> {
  override readonly name = "Curve25519Error";
  readonly domain = "curve25519";
}

/** How to rebuild a {@link Curve25519Error} behind a thread. */
export const curve25519ErrorClass: ErrorClass = {
  domain: "curve25519",
  codes: curve25519ErrorCodes,
  create: (code, message) => new Curve25519Error(code as Curve25519ErrorCode, message),
};
