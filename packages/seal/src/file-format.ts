/**
 * The sealed-file format: keys, header and chunks, without I/O.
 *
 *     "VIVSEAL1" ‖ u32 length ‖ header ‖ HMAC-SHA-256(header)        32 bytes of MAC
 *     chunk*                                                         AES-256-GCM, 16-byte tags
 *     HMAC-SHA-256(header), under another key                        the footer, 32 bytes
 *
 * Chunks follow the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-
 * Encryption and its Nonce-Reuse Misuse-Resistance", 2015): nonce = 7 random bytes ‖ u32 index ‖
 * u8 last. The index stops reordering, the flag truncation. Each file has a random key of its own,
 * so no nonce can repeat under one key, whatever else was written.
 *
 * Chunks are bound to what the file is, not to how its key is wrapped: another wrapping needs a new
 * header and footer only.
 */
import {
  concat,
  type DecodeLimits,
  equalBytes,
  labels,
  lengthPrefixed,
  u32,
  u64,
  utf8,
} from "@vivarium/core";
import {
  bytesOf,
  decodeCanonical,
  encodeCanonical,
  fieldsOf,
  integerOf,
  textOf,
} from "./canonical.ts";
import { SealError } from "./errors.ts";

export const magic = "VIVSEAL1";
export const fixedBytes = 12;
export const macBytes = 32;
export const tagBytes = 16;
export const maxHeaderBytes = 8192;
export const minChunkBytes = 4096;
export const maxChunkBytes: number = 16 * 1024 * 1024;
export const defaultChunkBytes: number = 1024 * 1024;
/** Chunk indices are 32 bits. */
export const maxChunks = 0xffff_ffff;

export interface FileHeader {
  readonly name: string;
  readonly version: number;
  readonly type: string;
  readonly chunkBytes: number;
  /** Of the plaintext. */
  readonly length: number;
  /** 16 random bytes. */
  readonly id: Uint8Array;
  /** 7 random bytes. */
  readonly nonce: Uint8Array;
  readonly wrapper: string;
  readonly wrappedKey: Uint8Array;
}

const headerLimits: DecodeLimits = {
  maxBytes: maxHeaderBytes,
  maxDepth: 1,
  maxArrayLength: 0,
  maxMapLength: 10,
  maxStringBytes: 1024,
  maxBinaryBytes: 4096,
  maxValues: 21,
};

/** Always the same size for the same file: the length takes eight bytes, known or not. */
export function encodeHeader(header: FileHeader): Uint8Array<ArrayBuffer> {
  const bytes = encodeCanonical({ v: 1, ...header, length: u64(header.length) });
  decodeHeader(bytes);
  return bytes;
}

/** @throws SealError `malformed` or `limit-exceeded`. */
export function decodeHeader(bytes: Uint8Array): FileHeader {
  const what = "Header of the sealed file";
  const fields = fieldsOf(what, decodeCanonical(what, bytes, headerLimits), [
    "v",
    "name",
    "version",
    "type",
    "chunkBytes",
    "length",
    "id",
    "nonce",
    "wrapper",
    "wrappedKey",
  ]);
  integerOf(`Format version in the ${what}`, fields.v, 1, 1);
  const lengthBytes = bytesOf("Length", fields.length, 8);
  const length = Number(
    new DataView(lengthBytes.buffer, lengthBytes.byteOffset, 8).getBigUint64(0),
  );
  const header: FileHeader = {
    name: textOf("Name of the sealed file", fields.name, 255),
    version: integerOf("Version of the sealed file", fields.version, 0, Number.MAX_SAFE_INTEGER),
    type: textOf("Type of the sealed file", fields.type, 127),
    chunkBytes: integerOf("Chunk size", fields.chunkBytes, minChunkBytes, maxChunkBytes),
    length: integerOf("Length of the sealed file", length, 0, Number.MAX_SAFE_INTEGER),
    id: bytesOf("Id of the sealed file", fields.id, 16),
    nonce: bytesOf("Nonce of the sealed file", fields.nonce, 7),
    wrapper: textOf("Key wrapper of the sealed file", fields.wrapper, 64),
    wrappedKey: bytesOf("Wrapped key of the sealed file", fields.wrappedKey, 1, 4096),
  };
  if (chunkCount(header) > maxChunks) {
    throw new SealError("limit-exceeded", `A sealed file has at most ${maxChunks} chunks.`);
  }
  return header;
}

/** An empty file has one empty chunk: its flag is what shows that nothing was cut off. */
export function chunkCount(header: FileHeader): number {
  return Math.max(1, Math.ceil(header.length / header.chunkBytes));
}

/** Size of the whole file. */
export function sealedBytes(header: FileHeader, headerBytes: number): number {
  const body = header.length + chunkCount(header) * tagBytes;
  return fixedBytes + headerBytes + macBytes + body + macBytes;
}

/** Length of the header that these first 12 bytes announce. @throws SealError. */
export function readPrefix(prefix: Uint8Array): number {
  if (prefix.length < fixedBytes) {
    throw new SealError("truncated", "The file is too short to be a sealed file.");
  }
  if (prefix.every((byte) => byte === 0)) {
    throw new SealError("incomplete", "The writing of this sealed file was never finished.");
  }
  if (!equalBytes(prefix.subarray(0, 8), utf8(magic))) {
    throw new SealError("malformed", `Not a sealed file: it does not begin with ${magic}.`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getUint32(8);
  if (length > maxHeaderBytes) {
    throw new SealError("limit-exceeded", `The header has more than ${maxHeaderBytes} bytes.`);
  }
  return length;
}

/** What the wrapped key is bound to. Name and version are bound by the header's MAC. */
export function wrapContext(id: Uint8Array): Uint8Array<ArrayBuffer> {
  return lengthPrefixed(labels.fileWrap, id);
}

/** First bytes of a finished file. */
export function encodePrefix(headerBytes: number): Uint8Array<ArrayBuffer> {
  return concat(utf8(magic), u32(headerBytes));
}
