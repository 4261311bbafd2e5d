/**
 * The wire codec: MessagePack by msgpackr behind our own scan. Values are null, booleans, numbers,
 * bigints (64 bit), strings, `Uint8Array`, arrays and plain objects; nothing else passes either way.
 */
import { Packr, Unpackr } from "msgpackr";
import { CoreError } from "./errors.ts";
import { type DecodeLimits, defaultDecodeLimits } from "./limits.ts";
import { scan } from "./scan.ts";

/** What {@link encode} takes and {@link decode} gives. */
export type Encodable =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Encodable[]
  | { readonly [key: string]: Encodable };

const options = { useRecords: false, moreTypes: false, mapsAsObjects: true, int64AsType: "bigint" };
const packr = new Packr(options as ConstructorParameters<typeof Packr>[0]);
const unpackr = new Unpackr(options as ConstructorParameters<typeof Unpackr>[0]);

/**
 * @throws CoreError `invalid-argument` for values outside {@link Encodable}: msgpackr would turn a
 * Date, a Map or a class instance into an extension that our own decoder refuses.
 */
export function encode(value: Encodable): Uint8Array<ArrayBuffer> {
  requireEncodable(value, 0);
  // A copy: msgpackr returns a view of a buffer that it goes on using.
  return new Uint8Array(packr.pack(value));
}

/**
 * Decodes one message. Objects have no prototype surprises (`__proto__` is refused), integers
 * outside the safe range are bigints, binary values are copies.
 * @throws CoreError `malformed` or `limit-exceeded`.
 */
export function decode(bytes: Uint8Array, limits: DecodeLimits = defaultDecodeLimits): Encodable {
  scan(bytes, limits);
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch (cause) {
    throw new CoreError("malformed", "Message is not valid MessagePack.", { cause });
  }
  return plain(value);
}

const maxEncodeDepth = 64;

function requireEncodable(value: unknown, depth: number): void {
  if (depth > maxEncodeDepth)
    throw new CoreError("invalid-argument", "Value is nested too deeply.");
  switch (typeof value) {
    case "boolean":
    case "number":
      return;
    case "string":
      if (/\p{Surrogate}/u.test(value)) break;
      return;
    case "bigint":
      if (value < -(2n ** 63n) || value >= 2n ** 64n) {
        throw new CoreError("invalid-argument", "A bigint is outside 64 bits.");
      }
      return;
    case "object": {
      if (value === null || value instanceof Uint8Array) return;
      if (Array.isArray(value)) {
        for (const item of value) requireEncodable(item, depth + 1);
        return;
      }
      const prototype: unknown = Object.getPrototypeOf(value);
      if (prototype === Object.prototype || prototype === null) {
        for (const [key, item] of Object.entries(value)) {
          if (key === "__proto__" || /\p{Surrogate}/u.test(key)) {
            throw new CoreError("invalid-argument", "A key is __proto__ or not well-formed text.");
          }
          requireEncodable(item, depth + 1);
        }
        return;
      }
      break;
    }
    default:
  }
  throw new CoreError("invalid-argument", `A value of type ${typeof value} cannot be encoded.`);
}

/**
 * Node's msgpackr gives `Buffer`s, some of them views of the input, which its owner may reuse; and
 * its own choice between number and bigint takes 2^53 for safe.
 */
function plain(value: unknown): Encodable {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = plain(value[i]);
    return value as Encodable[];
  }
  if (value !== null && typeof value === "object") {
    const record = value as Record<string, unknown>;
    for (const key of Object.keys(record)) record[key] = plain(record[key]);
    return record as { [key: string]: Encodable };
  }
  return value as Encodable;
}
