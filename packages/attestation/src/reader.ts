/** A cursor over bytes from outside: every read is bounded, and says what it was reading. */
import { fromUtf8 } from "@vivarium/core";
import { AttestationError } from "./errors.ts";

/** Text of bytes from outside. @throws AttestationError `malformed` if they are not UTF-8. */
export function textOfBytes(what: string, bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new AttestationError("malformed", `${what} is not UTF-8 text.`, { cause });
  }
}

export interface ByteReader {
  /** Bytes not yet read. */
  readonly left: number;
  /** Offset of the next read from the start. */
  readonly offset: number;
  /** A view, not a copy. @throws AttestationError `malformed` if fewer are left. */
  bytes(what: string, length: number): Uint8Array;
  u8(what: string): number;
  u16le(what: string): number;
  u32le(what: string): number;
  u16be(what: string): number;
  u32be(what: string): number;
  u64le(what: string): bigint;
  u64be(what: string): bigint;
  /** @throws AttestationError `malformed` if anything is left. */
  end(): void;
}

/** @param of what the whole is, for messages (`SGX quote`). */
export function readerOf(of: string, data: Uint8Array): ByteReader {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let offset = 0;
  const take = (what: string, length: number): number => {
    if (!Number.isSafeInteger(length) || length < 0 || length > data.length - offset) {
      const left = data.length - offset;
      throw new AttestationError(
        "malformed",
        `${of} is truncated at ${what}: ${length} bytes wanted at offset ${offset}, ${left} left.`,
      );
    }
    offset += length;
    return offset - length;
  };
  return {
    get left() {
      return data.length - offset;
    },
    get offset() {
      return offset;
    },
    bytes: (what, length) => {
      const start = take(what, length);
      return data.subarray(start, start + length);
    },
    u8: (what) => view.getUint8(take(what, 1)),
    u16le: (what) => view.getUint16(take(what, 2), true),
    u32le: (what) => view.getUint32(take(what, 4), true),
    u16be: (what) => view.getUint16(take(what, 2)),
    u32be: (what) => view.getUint32(take(what, 4)),
    u64le: (what) => view.getBigUint64(take(what, 8), true),
    u64be: (what) => view.getBigUint64(take(what, 8)),
    end: () => {
      if (offset === data.length) return;
      const extra = data.length - offset;
      throw new AttestationError("malformed", `${of} has ${extra} bytes after its end.`);
    },
  };
}
