/**
 * CBOR (RFC 8949) as TEEs write it: any order of keys, any width of numbers, indefinite lengths. What
 * leaves no doubt is still required: bounds, no duplicate keys, no trailing bytes, valid UTF-8. Only
 * for bytes under a signature; our own documents are deterministic (`cbor.ts`).
 */
import { toHex } from "@vivarium/core";
import type { CborLimits, CborValue } from "./cbor.ts";
import { AttestationError } from "./errors.ts";
import { type ByteReader, readerOf, textOfBytes } from "./reader.ts";

const indefinite = -1;
const stop = Symbol("break");

/**
 * @param tagged what a tagged item becomes; without it, tags are refused.
 * @throws AttestationError `malformed`.
 */
export function decodeTolerant(
  what: string,
  bytes: Uint8Array,
  limits: CborLimits,
  tagged?: (tag: number, value: CborValue) => CborValue,
): CborValue {
  if (bytes.length > limits.maxBytes) fail(what, `over ${limits.maxBytes} bytes`);
  const reader = readerOf(what, bytes);
  const state: State = { what, reader, limits, tagged, values: 0 };
  const value = item(state, 0);
  if (value === stop) return fail(what, "a break outside of any item");
  reader.end();
  return value;
}

interface State {
  readonly what: string;
  readonly reader: ByteReader;
  readonly limits: CborLimits;
  readonly tagged: ((tag: number, value: CborValue) => CborValue) | undefined;
  values: number;
}

function item(state: State, depth: number): CborValue | typeof stop {
  const { what, reader, limits } = state;
  if (++state.values > limits.maxValues) fail(what, `more than ${limits.maxValues} values`);
  if (depth > limits.maxDepth) fail(what, `nested deeper than ${limits.maxDepth}`);
  const head = reader.u8("an item");
  const major = head >> 5;
  if (major === 7) return simple(what, head);
  const argument = argumentOf(state, head & 31);
  if (argument === indefinite && (major < 2 || major === 6))
    fail(what, "a number without its bytes");
  switch (major) {
    case 0:
      return argument;
    case 1:
      return -1 - argument;
    case 2:
      return argument === indefinite
        ? chunks(state, 2)
        : new Uint8Array(reader.bytes("a byte string", argument));
    case 3:
      return textOfBytes(
        what,
        argument === indefinite ? chunks(state, 3) : reader.bytes("a text", argument),
      );
    case 4:
      return arrayOf(state, argument, depth);
    case 5:
      return mapOf(state, argument, depth);
    default:
      return tagOf(state, argument, depth);
  }
}

function tagOf(state: State, tag: number, depth: number): CborValue {
  const { what, tagged } = state;
  if (tagged === undefined) return fail(what, `the tag ${tag} inside`);
  const value = item(state, depth + 1);
  return value === stop ? fail(what, "a tag without its item") : tagged(tag, value);
}

function argumentOf({ what, reader }: State, info: number): number {
  if (info < 24) return info;
  if (info === 24) return reader.u8("a number");
  if (info === 25) return reader.u16be("a number");
  if (info === 26) return reader.u32be("a number");
  if (info === 31) return indefinite;
  const wide = info === 27 ? Number(reader.u64be("a number")) : Number.NaN;
  if (!Number.isSafeInteger(wide)) fail(what, "a number out of range");
  return wide;
}

function simple(what: string, head: number): CborValue | typeof stop {
  switch (head & 31) {
    case 20:
      return false;
    case 21:
      return true;
    // `undefined` stands for an absent optional field in Nitro documents of some versions.
    case 22:
    case 23:
      return null;
    case 31:
      return stop;
    default:
      return fail(what, "a float or a simple value");
  }
}

/** Definite strings of the same kind, up to the break. */
function chunks(state: State, major: number): Uint8Array<ArrayBuffer> {
  const { what, reader, limits } = state;
  const parts: Uint8Array[] = [];
  for (;;) {
    if (++state.values > limits.maxValues) fail(what, `more than ${limits.maxValues} values`);
    const head = reader.u8("a chunk");
    if (head === 0xff) break;
    if (head >> 5 !== major || (head & 31) === 31) fail(what, "a chunk of another kind");
    parts.push(reader.bytes("a chunk", argumentOf(state, head & 31)));
  }
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function arrayOf(state: State, count: number, depth: number): readonly CborValue[] {
  const { what, reader } = state;
  if (count > reader.left) fail(what, "truncated");
  const values: CborValue[] = [];
  while (count === indefinite || values.length < count) {
    const value = item(state, depth + 1);
    if (value === stop) {
      if (count === indefinite) return values;
      return fail(what, "a break inside an array of a known length");
    }
    values.push(value);
  }
  return values;
}

function mapOf(
  state: State,
  count: number,
  depth: number,
): ReadonlyMap<string | number, CborValue> {
  const { what, reader } = state;
  if (count > reader.left) fail(what, "truncated");
  const map = new Map<string | number, CborValue>();
  while (count === indefinite || map.size < count) {
    const key = item(state, depth + 1);
    if (key === stop) {
      if (count === indefinite) return map;
      return fail(what, "a break inside a map of a known length");
    }
    if (typeof key !== "string" && typeof key !== "number") fail(what, "a key of another kind");
    // Two readers could take two different values of the same claim.
    if (map.has(key))
      fail(
        what,
        `the key ${typeof key === "number" ? key : toHex(new TextEncoder().encode(key.slice(0, 32)))} twice`,
      );
    const value = item(state, depth + 1);
    if (value === stop) return fail(what, "a key without its value");
    map.set(key, value);
  }
  return map;
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not acceptable CBOR: ${reason}.`);
}
