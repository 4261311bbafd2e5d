/**
 * The second round's tags: how long they must be, and what they are.
 *
 * A tag is SHA-256(label ‖ session ‖ u), truncated; not u itself. In the random-oracle model tags are
 * then uniform strings that mean nothing outside their session, whichever bits are kept, for one hash
 * in about a hundred of a multiplication's time.
 */
import { labels, lengthPrefixed } from "@vivarium/core";
import { digestRecords, pointBytes } from "@vivarium/curve25519";
import { PsiError } from "./errors.ts";

/** Chance of any false match in a run: 2^-40. */
const statisticalBits = 40;
const minTagBytes = 10;
const maxTagBytes = 32;

/**
 * Bytes of a tag: ceil((40 + log2 n + log2 m) / 8), at least 10, at most 32. There are n m pairs of
 * different items, each matching with probability 2^-8t.
 */
export function tagBytes(n: number, m: number): number {
  // ceil of the exact logarithm: an inexact log2 must not round a boundary down.
  let bits = statisticalBits;
  for (let pairs = BigInt(n) * BigInt(m), power = 1n; power < pairs; power <<= 1n) bits++;
  return Math.min(maxTagBytes, Math.max(minTagBytes, Math.ceil(bits / 8)));
}

/** The tags of points, `width` bytes each. @param session 32 bytes. */
export function tagsOf(
  points: Uint8Array,
  session: Uint8Array,
  width: number,
): Uint8Array<ArrayBuffer> {
  if (points.length % pointBytes !== 0 || width < minTagBytes || width > maxTagBytes) {
    throw new PsiError("invalid-argument", "Tags are made of 32-byte points, 10 to 32 bytes long.");
  }
  const prefix = lengthPrefixed(labels.psiTag, session, new Uint8Array(pointBytes));
  return digestRecords(prefix.subarray(0, -pointBytes), points, pointBytes, width);
}
