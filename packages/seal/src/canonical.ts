/** The codec of `core` with one encoding per value, and records with exactly their fields. */
import {
  CoreError,
  type DecodeLimits,
  decode,
  type Encodable,
  encode,
  equalBytes,
} from "@vivarium/core";
import { SealError } from "./errors.ts";

/** Keys in the order of their UTF-16 units, at every level. */
export function encodeCanonical(value: Encodable): Uint8Array<ArrayBuffer> {
  return encode(sorted(value, 0));
}

/** @throws SealError `malformed` for another encoding of the same value, `limit-exceeded`. */
export function decodeCanonical(what: string, bytes: Uint8Array, limits: DecodeLimits): Encodable {
  let value: Encodable;
  let again: Uint8Array;
  try {
    value = decode(bytes, limits);
    again = encodeCanonical(value);
  } catch (cause) {
    const code =
      cause instanceof CoreError && cause.code === "limit-exceeded" ? cause.code : undefined;
    const why = cause instanceof CoreError ? ` ${cause.message}` : "";
    throw new SealError(code ?? "malformed", `${what} cannot be read.${why}`, { cause });
  }
  // Two byte strings for one value would give one receipt two digests.
  if (!equalBytes(again, bytes)) {
    throw new SealError("malformed", `${what} is not in its canonical form.`);
  }
  return value;
}

function sorted(value: Encodable, depth: number): Encodable {
  if (depth > 64) throw new SealError("invalid-argument", "A value is nested too deeply.");
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: Encodable) => sorted(item, depth + 1));
  // Anything with a prototype of its own goes to the codec as it is, which refuses it.
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const record = value as { readonly [key: string]: Encodable };
  const out: [string, Encodable][] = [];
  for (const key of Object.keys(record).sort()) {
    out.push([key, sorted(record[key] as Encodable, depth + 1)]);
  }
  return Object.fromEntries(out);
}

/** @throws SealError `malformed` unless `value` is a map with exactly these fields. */
export function fieldsOf<Name extends string>(
  what: string,
  value: Encodable | undefined,
  names: readonly Name[],
): { readonly [N in Name]: Encodable } {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  const keys = isMap ? Object.keys(value) : [];
  if (keys.length !== names.length || !names.every((name) => keys.includes(name))) {
    throw new SealError(
      "malformed",
      `${what} must have the fields ${names.join(", ")} and no others.`,
    );
  }
  return value as { readonly [N in Name]: Encodable };
}

/** @throws SealError `malformed`. */
export function bytesOf(
  what: string,
  value: Encodable,
  min: number,
  max: number = min,
): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    const size = min === max ? `${min}` : `${min} to ${max}`;
    throw new SealError("malformed", `${what} must be ${size} bytes.`);
  }
  return value;
}

/** @throws SealError `malformed`. */
export function textOf(what: string, value: Encodable, maxCharacters: number): string {
  if (typeof value !== "string" || value.length === 0 || value.length > maxCharacters) {
    throw new SealError("malformed", `${what} must be text of 1 to ${maxCharacters} characters.`);
  }
  return value;
}

/** @throws SealError `malformed`. */
export function integerOf(what: string, value: Encodable, min: number, max: number): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new SealError("malformed", `${what} must be an integer from ${min} to ${max}.`);
  }
  return value;
}
