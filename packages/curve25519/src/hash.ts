/** `curve25519_XMD:SHA-512_ELL2_NU_` in batches: the fast path. */
import { mapToCurve } from "./elligator.ts";
import { pointBytes, requireItems } from "./engine.ts";
import { hashToField } from "./hash-to-field.ts";

export function hashBatch(
  items: Uint8Array,
  offsets: Uint32Array,
  dst: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const n = requireItems(items, offsets, dst);
  let longest = 0;
  for (let i = 0; i < n; i++) {
    longest = Math.max(longest, (offsets[i + 1] as number) - (offsets[i] as number));
  }
  const toField = hashToField(dst, longest);
  const out = new Uint8Array(n * pointBytes);
  mapToCurve(n, (i) => toField(items, offsets[i] as number, offsets[i + 1] as number), out);
  return out;
}
