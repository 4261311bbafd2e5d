/**
 * Elligator 2 for curve25519 (RFC 9380 sections 6.7.1 and 8.5, Z = 2), u-coordinate only, batched.
 *
 * With A = 486662 and d = 1 + 2 r^2 the map is x1 = -A/d if x1^3 + A x1^2 + x1 is a square, else
 * x2 = -x1 - A = -2 A r^2/d. Times d^4, a square, the test becomes chi(-A d (d^2 - 2 A^2 r^2)), which
 * needs no division; d is never 0, for -1/2 is not a square mod p; so all divisions of a batch are one
 * (Montgomery's trick).
 */
import { invert, p, reduce, writeLittleEndian } from "./field.ts";
import { jacobi } from "./jacobi.ts";

const A = 486662n;
const minusA = p - A;
const twoA2 = 2n * A * A;
const minus2A = p - 2n * A;

/** Items that share one inversion: more gains nothing, and would keep more bigints alive. */
const chunk = 256;

/** Writes the u-coordinates of field elements r_0 … r_(n-1) (each below p), 32 bytes apiece. */
export function mapToCurve(
  n: number,
  element: (index: number) => bigint,
  out: Uint8Array<ArrayBuffer>,
): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  const numerators = new Array<bigint>(Math.min(n, chunk));
  const denominators = new Array<bigint>(Math.min(n, chunk));
  const prefixes = new Array<bigint>(Math.min(n, chunk));
  for (let start = 0; start < n; start += chunk) {
    const count = Math.min(chunk, n - start);
    let product = 1n;
    for (let i = 0; i < count; i++) {
      const r = element(start + i);
      const r2 = reduce(r * r);
      const d = reduce(1n + 2n * r2);
      const inner = reduce(d * d + (p << 64n) - twoA2 * r2);
      const square = jacobi(reduce(reduce(minusA * d) * inner)) !== -1;
      numerators[i] = square ? minusA : reduce(minus2A * r2);
      denominators[i] = d;
      prefixes[i] = product;
      product = reduce(product * d);
    }
    let inverse = invert(product);
    for (let i = count - 1; i >= 0; i--) {
      const reciprocal = reduce(inverse * (prefixes[i] as bigint));
      inverse = reduce(inverse * (denominators[i] as bigint));
      writeLittleEndian(view, 32 * (start + i), reduce((numerators[i] as bigint) * reciprocal));
    }
  }
}
