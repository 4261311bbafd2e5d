/**
 * The mathematics of the protocol: items to points, points under a scalar, and nothing else. Imports
 * only `core` and `curve25519`. The argument why this is secure stands in `docs/psi.md`.
 */
import { labels, toHex, utf8 } from "@vivarium/core";
import type { Curve25519Engine, ScalarKey } from "@vivarium/curve25519";

/**
 * Domain-separation tag of a session: an item hashes to unrelated points in two sessions, so that
 * lists of different runs cannot be compared even if a scalar were repeated.
 */
export function sessionDst(session: Uint8Array): Uint8Array<ArrayBuffer> {
  return utf8(`${labels.psiHashToCurve} ${toHex(session)}`);
}

/** H(x) of every item: 32-byte u-coordinates, cofactor not cleared. */
export function hashItems(
  engine: Curve25519Engine,
  items: Uint8Array,
  offsets: Uint32Array,
  session: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return engine.hashToCurve(items, offsets, sessionDst(session));
}

/** [k]P of every point. @throws Curve25519Error naming the index of a point that is not acceptable. */
export function maskPoints(
  engine: Curve25519Engine,
  scalar: ScalarKey,
  points: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return engine.multiply(scalar, points);
}
