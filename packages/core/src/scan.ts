/**
 * A linear scan of MessagePack bytes against limits, before anything is allocated for them.
 * msgpackr has no limits of its own: 10 MB of empty arrays would become hundreds of megabytes of
 * objects. Source: https://github.com/msgpack/msgpack/blob/master/spec.md
 *
 * Also refused: extension types (msgpackr's record definitions and class instances are extensions),
 * map keys that are not strings, `__proto__` (prototype pollution), duplicate keys (two readers
 * could disagree on which one counts), strings that are not UTF-8 (they would decode to text that
 * other bytes decode to as well), reserved tag 0xc1, trailing bytes.
 */
import { fromUtf8 } from "./bytes.ts";
import { CoreError } from "./errors.ts";
import type { DecodeLimits } from "./limits.ts";
import { requireWithin } from "./limits.ts";

interface Frame {
  remaining: number;
  /** Keys seen in this map; undefined for an array. */
  readonly keys: Set<string> | undefined;
  expectsKey: boolean;
}

const fixedBytes: Readonly<Record<number, number>> = {
  202: 4, // float 32
  203: 8, // float 64
  204: 1, // uint 8
  205: 2,
  206: 4,
  207: 8,
  208: 1, // int 8
  209: 2,
  210: 4,
  211: 8,
};

const latin1 = new TextDecoder("latin1");

/** @throws CoreError `malformed` or `limit-exceeded`. */
export function scan(bytes: Uint8Array, limits: DecodeLimits): void {
  requireWithin("Message size in bytes", bytes.length, limits.maxBytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: Frame[] = [];
  let offset = 0;
  let values = 0;

  const take = (count: number): number => {
    const start = offset;
    if (count > bytes.length - offset) throw new CoreError("malformed", "Message is truncated.");
    offset += count;
    return start;
  };
  const length = (width: 1 | 2 | 4): number => {
    const at = take(width);
    return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at);
  };
  const open = (count: number, isMap: boolean): void => {
    if (isMap) requireWithin("Map entries", count, limits.maxMapLength);
    else requireWithin("Array elements", count, limits.maxArrayLength);
    // Every element takes at least one byte, every entry two.
    if (count * (isMap ? 2 : 1) > bytes.length - offset) {
      throw new CoreError("malformed", "Message is truncated.");
    }
    if (count === 0) return;
    requireWithin("Nesting depth", stack.length + 1, limits.maxDepth);
    stack.push({
      remaining: count,
      keys: isMap ? new Set() : undefined,
      expectsKey: isMap,
    });
  };
  const text = (count: number, key: Frame | undefined): void => {
    requireWithin("String bytes", count, limits.maxStringBytes);
    const at = take(count);
    requireUtf8(bytes.subarray(at, at + count));
    if (key?.keys === undefined) return;
    const name = latin1.decode(bytes.subarray(at, at + count));
    if (name === "__proto__") throw new CoreError("malformed", "Map key __proto__ is refused.");
    if (key.keys.has(name)) throw new CoreError("malformed", "A map has the same key twice.");
    key.keys.add(name);
  };

  do {
    const parent = stack.at(-1);
    const key = parent?.expectsKey === true ? parent : undefined;
    if (parent !== undefined) {
      if (parent.keys === undefined) parent.remaining--;
      else if (parent.expectsKey) parent.expectsKey = false;
      else {
        parent.remaining--;
        parent.expectsKey = true;
      }
    }
    values++;
    requireWithin("Values in a message", values, limits.maxValues);
    const tag = view.getUint8(take(1));
    const isText = (tag >= 0xa0 && tag <= 0xbf) || (tag >= 0xd9 && tag <= 0xdb);
    if (key !== undefined && !isText) {
      throw new CoreError("malformed", "A map key is not a string.");
    }
    if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) {
      // fixint, nil, booleans: nothing follows
    } else if (tag <= 0x8f) open(tag & 0x0f, true);
    else if (tag <= 0x9f) open(tag & 0x0f, false);
    else if (tag <= 0xbf) text(tag & 0x1f, key);
    else if (tag >= 0xc4 && tag <= 0xc6) {
      const count = length(tag === 0xc4 ? 1 : tag === 0xc5 ? 2 : 4);
      requireWithin("Binary bytes", count, limits.maxBinaryBytes);
      take(count);
    } else if (tag >= 0xd9 && tag <= 0xdb) {
      text(length(tag === 0xd9 ? 1 : tag === 0xda ? 2 : 4), key);
    } else if (tag === 0xdc || tag === 0xdd) open(length(tag === 0xdc ? 2 : 4), false);
    else if (tag === 0xde || tag === 0xdf) open(length(tag === 0xde ? 2 : 4), true);
    else {
      const width = fixedBytes[tag];
      if (width === undefined) {
        throw new CoreError("malformed", `Tag 0x${tag.toString(16)} (extension) is refused.`);
      }
      take(width);
    }
    while (stack.length > 0 && finished(stack.at(-1))) stack.pop();
  } while (stack.length > 0);
  if (offset !== bytes.length) throw new CoreError("malformed", "Bytes follow the message.");
}

function finished(frame: Frame | undefined): boolean {
  return (
    frame !== undefined && frame.remaining === 0 && (frame.keys === undefined || frame.expectsKey)
  );
}

function requireUtf8(text: Uint8Array): void {
  let i = 0;
  while (i < text.length && (text[i] as number) < 0x80) i++;
  if (i < text.length) fromUtf8(text.subarray(i));
}
