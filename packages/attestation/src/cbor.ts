/**
 * Deterministic CBOR (RFC 8949 section 4.2.1) with bounds. Its own few lines, since every handshake reads
 * and writes it many times, and one strict pass is all that it takes; tests hold it to cborg. One value has one encoding:
 * what decodes here encodes to the very same bytes, so that a digest or signature over the bytes is
 * one over the value. Maps become `Map`s: no key can reach a prototype.
 */
import { utf8 } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import { textOfBytes } from "./reader.ts";

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

/** @throws AttestationError `malformed` for numbers that are not safe integers. */
export function encodeCbor(value: CborValue): Uint8Array<ArrayBuffer> {
  const encoder = new Encoder();
  encoder.value(value);
  return encoder.bytes();
}

/** Major types (RFC 8949 section 3.1). */
const major = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, other: 7 } as const;
const simple = { false: 0xf4, true: 0xf5, null: 0xf6 } as const;
/** Our documents fit: few grow the buffer. */
const initialBytes = 512;

/** Writes into one growing buffer: a document of many small pieces would be mostly garbage. */
class Encoder {
  #buffer = new Uint8Array(initialBytes);
  #length = 0;

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#length);
  }

  value(value: CborValue): void {
    if (typeof value === "string") {
      this.#text(value);
    } else if (typeof value === "number") {
      if (!Number.isSafeInteger(value)) {
        throw new AttestationError("malformed", "CBOR here holds safe integers only.");
      }
      if (value < 0) this.#head(major.negative, -1 - value);
      else this.#head(major.unsigned, value);
    } else if (value instanceof Uint8Array) {
      this.#head(major.bytes, value.length);
      this.#append(value);
    } else if (value === null || typeof value === "boolean") {
      this.#byte(value === null ? simple.null : value ? simple.true : simple.false);
    } else if (value instanceof Map) {
      this.#map(value);
    } else {
      const items = value as readonly CborValue[];
      this.#head(major.array, items.length);
      for (const item of items) this.value(item);
    }
  }

  #map(map: ReadonlyMap<string | number, CborValue>): void {
    this.#head(major.map, map.size);
    // Section 4.2.1: by the bytes of the encoded keys.
    const keys = [...map.keys()].sort((a, b) => compareBytes(encodedKey(a), encodedKey(b)));
    for (const key of keys) {
      this.#append(encodedKey(key));
      this.value(map.get(key) as CborValue);
    }
  }

  #text(text: string): void {
    const bytes = utf8(text);
    this.#head(major.text, bytes.length);
    this.#append(bytes);
  }

  /** Initial byte and argument, in the shortest form. */
  #head(type: number, argument: number): void {
    const first = type << 5;
    if (argument < 24) {
      this.#byte(first | argument);
      return;
    }
    const log = argument < 0x100 ? 0 : argument < 0x1_0000 ? 1 : argument < 0x1_0000_0000 ? 2 : 3;
    this.#byte(first | (24 + log));
    for (let at = 2 ** log - 1; at >= 0; at--) this.#byte(Math.floor(argument / 256 ** at) % 256);
  }

  #byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  #append(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const grown = new Uint8Array(2 * (this.#length + bytes));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** Keys are the same few words in every document; bounded, since policies bring their own. */
const knownKeys = new Map<string | number, Uint8Array>();
const maxKnownKeys = 512;

function encodedKey(key: string | number): Uint8Array {
  const known = knownKeys.get(key);
  if (known !== undefined) return known;
  const encoded = encodeCbor(key);
  if (knownKeys.size < maxKnownKeys && encoded.length <= 64) knownKeys.set(key, encoded);
  return encoded;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * In one pass, which refuses whatever {@link encodeCbor} would not have written.
 * @param what names the document in messages.
 * @throws AttestationError `malformed` for anything over its bounds, not deterministic, with
 * duplicate keys, indefinite lengths, tags, floats or trailing bytes.
 */
export function decodeCbor(what: string, bytes: Uint8Array, limits: CborLimits): CborValue {
  if (bytes.length > limits.maxBytes) fail(what, `is over ${limits.maxBytes} bytes`);
  const decoder = new Decoder(what, bytes, limits);
  const value = decoder.value(0);
  if (decoder.offset !== bytes.length) fail(what, "has bytes after its end");
  return value;
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} ${reason}.`);
}

/** Depth is bounded before it descends, so hostile nesting costs no stack. */
class Decoder {
  offset = 0;
  #values = 0;
  readonly #what: string;
  readonly #bytes: Uint8Array;
  readonly #limits: CborLimits;

  constructor(what: string, bytes: Uint8Array, limits: CborLimits) {
    this.#what = what;
    this.#bytes = bytes;
    this.#limits = limits;
  }

  value(depth: number): CborValue {
    const { maxValues } = this.#limits;
    if (++this.#values > maxValues) fail(this.#what, `holds more than ${maxValues} values`);
    const first = this.#bytes[this.offset++] ?? fail(this.#what, "is truncated");
    const type = first >> 5;
    if (type === major.other) return this.#simple(first);
    const argument = this.#argument(first & 31);
    switch (type) {
      case major.unsigned:
        return argument;
      case major.negative:
        return -1 - argument;
      case major.bytes:
        return new Uint8Array(this.#take(argument));
      case major.text:
        return this.#text(argument);
      case major.array:
        return this.#array(argument, depth);
      case major.map:
        return this.#map(argument, depth);
      default:
        return fail(this.#what, "holds a tag");
    }
  }

  #simple(first: number): CborValue {
    if (first === simple.null) return null;
    if (first === simple.true || first === simple.false) return first === simple.true;
    return fail(this.#what, "holds a float or a simple value");
  }

  /** In its shortest form, and a safe integer. */
  #argument(info: number): number {
    if (info < 24) return info;
    if (info > 27) fail(this.#what, "has an indefinite length");
    const width = 1 << (info - 24);
    let value = 0;
    for (let i = 0; i < width; i++) {
      value = value * 256 + (this.#bytes[this.offset++] ?? fail(this.#what, "is truncated"));
    }
    const least = info === 24 ? 24 : 256 ** (width / 2);
    if (value < least) fail(this.#what, "is not in deterministic CBOR");
    if (!Number.isSafeInteger(value)) fail(this.#what, "holds a number out of range");
    return value;
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.offset) fail(this.#what, "is truncated");
    this.offset += length;
    return this.#bytes.subarray(this.offset - length, this.offset);
  }

  #text(length: number): string {
    return textOfBytes(this.#what, this.#take(length));
  }

  #descend(depth: number, children: number): void {
    const { maxDepth } = this.#limits;
    // Each child has at least a byte: a count alone must not make us allocate.
    if (children > this.#bytes.length - this.offset) fail(this.#what, "is truncated");
    if (children > 0 && depth >= maxDepth) fail(this.#what, `is nested deeper than ${maxDepth}`);
  }

  #array(count: number, depth: number): readonly CborValue[] {
    this.#descend(depth, count);
    const items: CborValue[] = [];
    for (let i = 0; i < count; i++) items.push(this.value(depth + 1));
    return items;
  }

  /** Of the keys that begin at two offsets, the second read just now. No encoding begins another. */
  #compareKeys(first: number, second: number): number {
    const bytes = this.#bytes;
    for (let at = second; at < this.offset; at++) {
      const difference = (bytes[at - second + first] as number) - (bytes[at] as number);
      if (difference !== 0) return difference;
    }
    return 0;
  }

  #map(count: number, depth: number): ReadonlyMap<string | number, CborValue> {
    this.#descend(depth, count * 2);
    const map = new Map<string | number, CborValue>();
    let before = 0;
    for (let i = 0; i < count; i++) {
      const start = this.offset;
      const key = this.value(depth + 1);
      if (typeof key !== "string" && typeof key !== "number") {
        fail(this.#what, "has a key that is neither text nor a number");
      }
      // Strictly rising: neither another order nor a key twice.
      if (i > 0 && this.#compareKeys(before, start) >= 0) {
        fail(this.#what, "is not in deterministic CBOR");
      }
      before = start;
      map.set(key, this.value(depth + 1));
    }
    return map;
  }
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
  return new Uint8Array(requireBytes(what, value, min, max));
}

/** As {@link bytesOf}, and gives no copy. @throws AttestationError `malformed`. */
export function requireBytes(
  what: string,
  value: CborValue | undefined,
  min: number,
  max: number,
): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    const size = min === max ? `${min}` : `${min} to ${max}`;
    throw new AttestationError("malformed", `${what} is not a byte string of ${size} bytes.`);
  }
  return value;
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
