/** Which 32 bytes are acceptable as a peer's point. */
import { pointBytes } from "./engine.ts";
import { Curve25519Error } from "./errors.ts";
import { fromLittleEndian } from "./field.ts";

/**
 * Every canonical u of small order. On the curve: 0 (order 2), 1 (order 4) and two of order 8; on the
 * twist: 0 (order 2) and p - 1 (order 4). All other points of either have a part of large prime order,
 * which a clamped scalar (a multiple of 8, not of either prime) cannot kill.
 */
export const lowOrderPoints: readonly bigint[] = [
  0n,
  1n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  2n ** 255n - 20n,
];

/** Their low 4 bytes, so that honest points are compared no further. */
const firstWords = new Set(lowOrderPoints.map((u) => Number(u & 0xffff_ffffn)));

/**
 * X25519 implementations mask bit 255 and accept u >= p, so that one point has several encodings: a
 * peer could send "different" points that are equal, past deduplication and counts. Low-order points
 * give a product that does not depend on the scalar's secret part.
 * @throws Curve25519Error `non-canonical` or `low-order` naming the index.
 */
export function requireHonestPoints(points: Uint8Array): void {
  const view = new DataView(points.buffer, points.byteOffset, points.byteLength);
  for (let at = 0; at < points.length; at += pointBytes) {
    if (isNonCanonical(view, at)) {
      throw new Curve25519Error(
        "non-canonical",
        `Point ${at / pointBytes} is not encoded canonically.`,
      );
    }
    if (
      firstWords.has(view.getUint32(at, true)) &&
      lowOrderPoints.includes(fromLittleEndian(points, at))
    ) {
      throw lowOrder(at / pointBytes);
    }
  }
}

export function lowOrder(index: number, cause?: unknown): Curve25519Error {
  return new Curve25519Error("low-order", `Point ${index} has small order.`, { cause });
}

/** True for u >= p, bit 255 included. */
function isNonCanonical(view: DataView, at: number): boolean {
  const top = view.getUint32(at + 28, true);
  if (top < 0x7fff_ffff) return false;
  if (top > 0x7fff_ffff) return true;
  for (let i = 4; i < 28; i += 4) {
    if (view.getUint32(at + i, true) !== 0xffff_ffff) return false;
  }
  return view.getUint32(at, true) >= 0xffff_ffed;
}
