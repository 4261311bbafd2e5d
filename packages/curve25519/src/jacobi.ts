/** The quadratic character mod p. */
import { p } from "./field.ts";

/**
 * The Jacobi symbol (a/p) by the binary-reduced Euclidean algorithm: 1 for squares, -1 for others, 0
 * for 0. About ten times faster than a^((p-1)/2), but its time depends on `a`: see the README.
 */
export function jacobi(a: bigint): -1 | 0 | 1 {
  let x = a;
  let n = p;
  let negative = false;
  while (x !== 0n) {
    let low = Number(x & 0xffff_ffffn);
    // (2/n) = -1 exactly for n = 3, 5 mod 8.
    while (low === 0) {
      x >>= 32n;
      low = Number(x & 0xffff_ffffn);
    }
    const zeros = 31 - Math.clz32(low & -low);
    if (zeros !== 0) {
      x >>= BigInt(zeros);
      const n8 = Number(n & 7n);
      if ((zeros & 1) === 1 && (n8 === 3 || n8 === 5)) negative = !negative;
    }
    if ((Number(x & 3n) & Number(n & 3n)) === 3) negative = !negative;
    const rest = n % x;
    n = x;
    x = rest;
  }
  if (n !== 1n) return 0;
  return negative ? -1 : 1;
}
