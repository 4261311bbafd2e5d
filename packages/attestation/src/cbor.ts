/**
 * Deterministic CBOR (RFC 8949 section 4.2.1) with bounds, on cborg. One value has one encoding:
 * what decodes here encodes to the very same bytes, so that a digest or signature over the bytes is
 * one over the value. Maps become `Map`s: no key can reach a prototype.
 */
import { equalBytes } from "@vivarium/core";
import { decode, encode, rfc8949EncodeOptions } from "cborg";
import { AttestationError } from "./errors.ts";

/** What our documents are made of. No floats, no tags, no `undefined`. */
export type CborValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly CborValue[]
  | ReadonlyMap<string | number, CborValue>;

/** Bounds of one decoded document. */
export interface CborLimits {
  readonly maxBytes: number;
  readonly maxDepth: number;
  readonly maxValues: number;
}

export function encodeCbor(value: CborValue): Uint8Array<ArrayBuffer> {
  return new Uint8Array(encode(value, rfc8949EncodeOptions));
}

/**
 * @param what names the document in messages.
 * @throws AttestationError `malformed` for anything over its bounds, not deterministic, with
 * duplicate keys, indefinite lengths, tags, floats or trailing bytes.
 */
export function decodeCbor(what: string, bytes: Uint8Array, limits: CborLimits): CborValue {
  scan(what, bytes, limits);
  let value: CborValue;
  try {
    value = decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      allowInfinity: false,
      allowNaN: false,
      allowBigInt: false,
      rejectDuplicateMapKeys: true,
      useMaps: true,
    }) as CborValue;
  } catch (cause) {
    throw new AttestationError("malformed", `${what} is not valid CBOR.`, { cause });
  }
  // Key order is the one freedom that strict decoding leaves.
  if (!equalBytes(encodeCbor(value), bytes)) {
    throw new AttestationError("malformed", `${what} is not in deterministic CBOR.`);
  }
  return value;
}

/** Linear, before cborg recurses: 300 KiB of nested arrays would otherwise be 300,000 frames. */
function scan(what: string, bytes: Uint8Array, limits: CborLimits): void {
  const fail = (reason: string): never => {
    throw new AttestationError("malformed", `${what} ${reason}.`);
  };
  if (bytes.length > limits.maxBytes) fail(`is over ${limits.maxBytes} bytes`);
  const open: number[] = [];
  let offset = 0;
  let values = 0;
  do {
    if (open.length > 0) open[open.length - 1] = (open.at(-1) as number) - 1;
    if (++values > limits.maxValues) fail(`holds more than ${limits.maxValues} values`);
    const head = bytes[offset++] ?? fail("is truncated");
    const major = head >> 5;
    const info = head & 31;
    const width = info < 24 ? 0 : info <= 27 ? 1 << (info - 24) : fail("has an indefinite length");
    if (offset + width > bytes.length) fail("is truncated");
    let argument = info;
    if (width > 0) {
      argument = 0;
      for (let i = 0; i < width; i++) argument = argument * 256 + (bytes[offset++] as number);
    }
    if (major === 2 || major === 3) {
      if (argument > bytes.length - offset) fail("is truncated");
      offset += argument;
    } else if (major === 4 || major === 5) {
      const children = major === 5 ? argument * 2 : argument;
      if (children > bytes.length - offset) fail("is truncated");
      if (children > 0) open.push(children);
      if (open.length > limits.maxDepth) fail(`is nested deeper than ${limits.maxDepth}`);
    } else if (major === 6) fail("holds a tag");
    else if (major === 7 && (info < 20 || info > 22)) fail("holds a float or a simple value");
    while (open.at(-1) === 0) open.pop();
  } while (open.length > 0);
  if (offset !== bytes.length) fail("has bytes after its end");
}

/**
 * Reads a map whose keys are exactly `names`.
 * @throws AttestationError `malformed` naming what is missing or unknown.
 */
export function fieldsOf<Name extends string | number>(
  what: string,
  value: CborValue | undefined,
  names: readonly Name[],
): Readonly<Record<Name, CborValue>> {
  if (!(value instanceof Map)) throw new AttestationError("malformed", `${what} is not a map.`);
  const known: readonly (string | number)[] = names;
  for (const key of value.keys()) {
    if (!known.includes(key as string | number)) {
      throw new AttestationError("malformed", `${what} has the unknown field ${nameOf(key)}.`);
    }
  }
  const fields: Partial<Record<Name, CborValue>> = {};
  for (const name of names) {
    const field: CborValue | undefined = value.get(name);
    if (field === undefined) {
      throw new AttestationError("malformed", `${what} lacks the field ${nameOf(name)}.`);
    }
    fields[name] = field;
  }
  return fields as Record<Name, CborValue>;
}

/** Field names come from outside: only plain ones are repeated in messages. */
function nameOf(key: unknown): string {
  if (typeof key === "number") return String(key);
  return typeof key === "string" && /^[\w.-]{1,64}$/.test(key) ? `"${key}"` : "(not printable)";
}

/** A byte string between the two lengths, inclusive, as a copy. */
export function bytesOf(
  what: string,
  value: CborValue | undefined,
  min: number,
  max: number,
): Uint8Array<ArrayBuffer> {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    const size = min === max ? `${min}` : `${min} to ${max}`;
    throw new AttestationError("malformed", `${what} is not a byte string of ${size} bytes.`);
  }
  return new Uint8Array(value);
}

/** A safe integer between the bounds, inclusive. */
export function integerOf(
  what: string,
  value: CborValue | undefined,
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
    throw new AttestationError("malformed", `${what} is not an integer from ${min} to ${max}.`);
  }
  return value;
}

/** Text that matches the pattern, which also bounds its length. */
export function textOf(what: string, value: CborValue | undefined, pattern: RegExp): string {
  if (typeof value !== "string" || !pattern.test(value)) {
    throw new AttestationError("malformed", `${what} is not text of the form ${pattern.source}.`);
  }
  return value;
}

/** An array of at most `max` elements. */
export function arrayOf(
  what: string,
  value: CborValue | undefined,
  max: number,
): readonly CborValue[] {
  if (!Array.isArray(value) || value.length > max) {
    throw new AttestationError("malformed", `${what} is not an array of at most ${max}.`);
  }
  return value;
}
