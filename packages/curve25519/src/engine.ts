/**
 * The engine: one scalar times many points, and hash to curve, in batches of concatenated 32-byte
 * u-coordinates (RFC 7748, little-endian). No protocol, no thread, no I/O. Calls are synchronous and
 * meant for a worker thread.
 */
import type { KeyObject } from "node:crypto";
import { Curve25519Error } from "./errors.ts";

/**
 * A clamped X25519 scalar as a handle. A `KeyObject` can be posted to a worker thread, is freed and
 * cleansed by OpenSSL with its last reference, and does not show its bytes when printed.
 */
export type ScalarKey = KeyObject;

export interface Curve25519Engine {
  readonly name: "ifma" | "avx512" | "avx2" | "portable" | "node" | "noble";
  /**
   * u-coordinates of `curve25519_XMD:SHA-512_ELL2_NU_` (RFC 9380 section 8.5) *before* the cofactor
   * is cleared: a clamped scalar is a multiple of 8 and clears it in {@link multiply}.
   * @param items all items, concatenated.
   * @param offsets n + 1 rising positions in `items`; item i is `items[offsets[i]..offsets[i+1]]`.
   * @param dst domain-separation tag, 1 to 255 bytes.
   * @returns 32 n bytes, canonical.
   * @throws Curve25519Error `invalid-argument` or `limit-exceeded`.
   */
  hashToCurve(items: Uint8Array, offsets: Uint32Array, dst: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * X25519 (RFC 7748 section 5) of every point.
   * @param points 32 n bytes.
   * @throws Curve25519Error `low-order` or `non-canonical` naming the index of the point.
   */
  multiply(scalar: ScalarKey, points: Uint8Array): Uint8Array<ArrayBuffer>;
}

/** Bytes of a u-coordinate. */
export const pointBytes = 32;

/** Bounds of one call. */
export const curve25519Limits = {
  /** Bytes of one item. */
  maxItemBytes: 65_536,
  /** Items or points of one call. */
  maxBatchItems: 1_048_576,
  /** Bytes of a domain-separation tag (RFC 9380 section 5.3.3 hashes longer ones; we refuse them). */
  maxDstBytes: 255,
} as const;

/** @throws Curve25519Error when a batch of items does not have its form. Returns the count. */
export function requireItems(items: Uint8Array, offsets: Uint32Array, dst: Uint8Array): number {
  const n = offsets.length - 1;
  if (n < 0 || offsets[0] !== 0 || offsets[n] !== items.length) {
    throw new Curve25519Error("invalid-argument", "Offsets must run from 0 to the items' length.");
  }
  requireLimit("Items of a batch", n, curve25519Limits.maxBatchItems);
  if (dst.length === 0) {
    throw new Curve25519Error("invalid-argument", "The domain-separation tag is empty.");
  }
  requireLimit("Bytes of the domain-separation tag", dst.length, curve25519Limits.maxDstBytes);
  for (let i = 0; i < n; i++) {
    const length = (offsets[i + 1] as number) - (offsets[i] as number);
    if (length < 0) {
      throw new Curve25519Error("invalid-argument", `Offsets fall at item ${i}.`);
    }
    requireLimit(`Bytes of item ${i}`, length, curve25519Limits.maxItemBytes);
  }
  return n;
}

/** @throws Curve25519Error for a length that is not a multiple of 32. Returns the count. */
export function requirePoints(points: Uint8Array): number {
  if (points.length % pointBytes !== 0) {
    throw new Curve25519Error("invalid-argument", "Points must be 32 bytes each.");
  }
  const n = points.length / pointBytes;
  requireLimit("Points of a batch", n, curve25519Limits.maxBatchItems);
  return n;
}

function requireLimit(name: string, value: number, limit: number): void {
  if (value > limit) {
    throw new Curve25519Error("limit-exceeded", `${name}: ${value}, over the limit of ${limit}.`);
  }
}
