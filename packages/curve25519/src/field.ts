/** Arithmetic mod p = 2^255 - 19 on bigints, as far as the map needs it. Variable time. */

export const p: bigint = 2n ** 255n - 19n;
const low255 = 2n ** 255n - 1n;

/** A number below p, of any non-negative number below 2^765. */
export function reduce(x: bigint): bigint {
  // 2^255 = 19 mod p: two foldings leave less than 2p, so that division is never needed.
  let folded = (x & low255) + 19n * (x >> 255n);
  folded = (folded & low255) + 19n * (folded >> 255n);
  folded = (folded & low255) + 19n * (folded >> 255n);
  return folded >= p ? folded - p : folded;
}

/** a^(-1) mod p by Euclid, for 0 < a < p. */
export function invert(a: bigint): bigint {
  let [r0, r1, t0, t1] = [p, a, 0n, 1n];
  while (r1 !== 0n) {
    const q = r0 / r1;
    [r0, r1] = [r1, r0 - q * r1];
    [t0, t1] = [t1, t0 - q * t1];
  }
  return t0 < 0n ? t0 + p : t0;
}

/** 32 little-endian bytes. */
export function writeLittleEndian(view: DataView, at: number, value: bigint): void {
  // setBigUint64 takes its argument modulo 2^64.
  view.setBigUint64(at, value, true);
  view.setBigUint64(at + 8, value >> 64n, true);
  view.setBigUint64(at + 16, value >> 128n, true);
  view.setBigUint64(at + 24, value >> 192n, true);
}

export function fromLittleEndian(bytes: Uint8Array, at: number): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, 32);
  return (
    view.getBigUint64(0, true) |
    (view.getBigUint64(8, true) << 64n) |
    (view.getBigUint64(16, true) << 128n) |
    (view.getBigUint64(24, true) << 192n)
  );
}
