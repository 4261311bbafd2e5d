/**
 * Byte strings: concatenation, length framing for hashes, constant-time comparison, text forms.
 * Everything here runs in Node and browsers and never returns a `Buffer`.
 */
import { CoreError } from "./errors.ts";

const encoder = new TextEncoder();
// ignoreBOM keeps a leading U+FEFF: without it two byte strings would be the same text.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * UTF-8 bytes of a string. @throws CoreError `invalid-argument` for a lone surrogate: the encoder
 * would replace it by U+FFFD, so that different strings would hash alike.
 */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  if (/\p{Surrogate}/u.test(text)) {
    throw new CoreError("invalid-argument", "Text has a lone surrogate, which UTF-8 cannot hold.");
  }
  return encoder.encode(text);
}

/** Text of UTF-8 bytes. @throws CoreError `malformed` if they are not valid UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new CoreError("malformed", "Bytes are not valid UTF-8.", { cause });
  }
}

/** Joins byte strings without any framing: never hash the result, see {@link lengthPrefixed}. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** A 32-bit unsigned integer, big-endian. @throws CoreError `invalid-argument` out of range. */
export function u32(value: number): Uint8Array<ArrayBuffer> {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    // The shifts would wrap: a 4 GiB part would be framed as an empty one.
    throw new CoreError("invalid-argument", `${value} is not an unsigned 32-bit integer.`);
  }
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

/** A 64-bit unsigned integer, big-endian. @throws CoreError `invalid-argument` out of range. */
export function u64(value: number | bigint): Uint8Array<ArrayBuffer> {
  const exact = typeof value === "bigint" ? value < 2n ** 64n : Number.isSafeInteger(value);
  if (!exact || value < 0) {
    throw new CoreError("invalid-argument", `${value} is not an unsigned 64-bit integer.`);
  }
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/**
 * The only form in which several values may be hashed or signed together:
 * `u32 count ‖ (u32 length ‖ bytes)*`, big-endian. Without the lengths ("ab","c") and ("a","bc")
 * would hash alike and an attacker could move bytes from one field to the next.
 * Strings are taken as UTF-8.
 */
export function lengthPrefixed(
  ...parts: readonly (Uint8Array | string)[]
): Uint8Array<ArrayBuffer> {
  const framed: Uint8Array[] = [u32(parts.length)];
  for (const part of parts) {
    const bytes = typeof part === "string" ? utf8(part) : part;
    framed.push(u32(bytes.length), bytes);
  }
  return concat(...framed);
}

/**
 * Compares in time that depends on the lengths only. Different lengths are unequal at once: the
 * length of a MAC or a measurement is public.
 */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number);
  return difference === 0;
}

const hexDigits = encoder.encode("0123456789abcdef");

/** Lower-case hexadecimal. Decoded at once: a string grown by pieces is a tree of garbage. */
export function toHex(bytes: Uint8Array): string {
  const out = new Uint8Array(2 * bytes.length);
  bytes.forEach((byte, i) => {
    out[2 * i] = hexDigits[byte >> 4] as number;
    out[2 * i + 1] = hexDigits[byte & 15] as number;
  });
  return decoder.decode(out);
}

/** @throws CoreError `malformed` for anything but an even number of hexadecimal digits. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) {
    throw new CoreError("malformed", "Expected an even number of hexadecimal digits.");
  }
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

/** Unpadded base64url (RFC 4648 section 5). */
export function toBase64Url(bytes: Uint8Array): string {
  const of = String.fromCharCode;
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8192) binary += of(...bytes.subarray(i, i + 8192));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** @throws CoreError `malformed` for characters outside the alphabet, padding or stray bits. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
    throw new CoreError("malformed", "Expected unpadded base64url.");
  }
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const out = Uint8Array.from(binary, (character) => character.charCodeAt(0));
  // Two texts must not stand for the same bytes, or a digest over the text is not a digest of them.
  if (toBase64Url(out) !== text) throw new CoreError("malformed", "Non-canonical base64url.");
  return out;
}
