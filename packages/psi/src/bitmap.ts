/** Marks (a byte each) as bits, and back. Bit i is bit i mod 8 (lowest first) of byte i div 8. */
import { PsiError } from "./errors.ts";

export function toBitmap(marks: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(Math.ceil(marks.length / 8));
  for (let i = 0; i < marks.length; i++) {
    if (marks[i] === 1) out[i >>> 3] = (out[i >>> 3] as number) | (1 << (i & 7));
  }
  return out;
}

/** @throws PsiError `protocol` for another length, or bits set behind the last position. */
export function fromBitmap(bitmap: Uint8Array, n: number): Uint8Array<ArrayBuffer> {
  const spare = 8 * bitmap.length - n;
  if (bitmap.length !== Math.ceil(n / 8) || (bitmap[bitmap.length - 1] ?? 0) >> (8 - spare) !== 0) {
    throw new PsiError("protocol", "The peer's result bitmap does not fit the set.");
  }
  const marks = new Uint8Array(n);
  for (let i = 0; i < n; i++) marks[i] = ((bitmap[i >>> 3] as number) >> (i & 7)) & 1;
  return marks;
}
