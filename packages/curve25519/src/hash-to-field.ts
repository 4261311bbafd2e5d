/**
 * hash_to_field with expand_message_xmd and SHA-512 (RFC 9380 sections 5.2 and 5.3.1) for one element
 * of 48 bytes, so that ell = 1: b_0 = H(Z_pad ‖ msg ‖ I2OSP(48, 2) ‖ 0 ‖ DST_prime),
 * b_1 = H(b_0 ‖ 1 ‖ DST_prime), element = OS2IP(b_1[0..48]) mod p.
 */
import { createHash, hash } from "node:crypto";
import { reduce } from "./field.ts";

/** Bytes of a SHA-512 input block: the length of Z_pad. */
const blockBytes = 128;
const elementHexDigits = 96;

/** `crypto.hash` (Node 20.12) skips the stream object and is nearly twice as fast. */
const sha512: (data: Uint8Array, encoding: "hex" | "binary") => string =
  typeof hash === "function"
    ? (data, encoding) => hash("sha512", data, encoding)
    : (data, encoding) => createHash("sha512").update(data).digest(encoding);

/** A function from item to field element, below p, for one tag. Buffers are reused from call to call. */
export function hashToField(
  dst: Uint8Array,
  maxItemBytes: number,
): (items: Uint8Array, start: number, end: number) => bigint {
  const tail = Buffer.alloc(4 + dst.length);
  tail[1] = 48;
  tail.set(dst, 3);
  tail[3 + dst.length] = dst.length;
  const first = Buffer.alloc(blockBytes + maxItemBytes + tail.length);
  const second = Buffer.alloc(64 + 1 + dst.length + 1);
  second[64] = 1;
  second.set(dst, 65);
  second[65 + dst.length] = dst.length;
  return (items, start, end) => {
    first.set(items.subarray(start, end), blockBytes);
    const length = blockBytes + end - start;
    first.set(tail, length);
    second.write(sha512(first.subarray(0, length + tail.length), "binary"), 0, "latin1");
    const digest = sha512(second, "hex");
    return reduce(BigInt(`0x${digest.slice(0, elementHexDigits)}`));
  };
}
