/** Files as people keep evidence: raw, hexadecimal, base64, JSON. */
import { fromHex, fromUtf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";

/** Largest file of evidence or collateral that is looked at, in bytes. */
export const maxFormBytes: number = 4 * 1024 * 1024;

/** The text of a file that is text as a whole, or undefined. */
export function textOf(bytes: Uint8Array): string | undefined {
  for (const byte of bytes) {
    const printable = byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
    if (!printable || byte === 0x7f) return undefined;
  }
  try {
    return fromUtf8(bytes).trim();
  } catch {
    return undefined;
  }
}

/** Bytes of hexadecimal text, `0x` and white space allowed, or undefined. */
export function hexOf(text: string): Uint8Array<ArrayBuffer> | undefined {
  const packed = text.replace(/^0x/i, "").replace(/\s+/g, "");
  return packed.length > 0 && packed.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(packed)
    ? fromHex(packed)
    : undefined;
}

/** Bytes of base64 or base64url, padding optional, or undefined. */
export function base64Of(text: string): Uint8Array<ArrayBuffer> | undefined {
  const packed = text
    .replace(/\s+/g, "")
    .replaceAll("-", "+")
    .replaceAll("_", "/")
    .replace(/=+$/, "");
  if (packed.length === 0 || packed.length % 4 === 1 || !/^[A-Za-z0-9+/]+$/.test(packed)) {
    return undefined;
  }
  return Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
}

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** A JSON object, or undefined if the text is none. */
export function jsonObjectOf(text: string): JsonObject | undefined {
  if (!text.startsWith("{")) return undefined;
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (cause) {
    throw new AttestationError("malformed", "The file begins as JSON but is not valid.", { cause });
  }
  return isObject(value) ? value : undefined;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Own fields only: a name from outside must not reach a prototype. */
export function fieldOf(value: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

/** Text that is hexadecimal or base64, as bytes. Hexadecimal wins: base64 of such text is no form in use. */
export function bytesOfText(value: Json | undefined): Uint8Array<ArrayBuffer> | undefined {
  return typeof value === "string" ? (hexOf(value) ?? base64Of(value)) : undefined;
}

/** An array of numbers from 0 to 255 (Rust's `Vec<u8>` in JSON), as bytes. */
export function bytesOfNumbers(value: Json | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (!Array.isArray(value)) return undefined;
  const ok = value.every(
    (item) => Number.isInteger(item) && (item as number) >= 0 && (item as number) < 256,
  );
  return ok ? Uint8Array.from(value as readonly number[]) : undefined;
}
