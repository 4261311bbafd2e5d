/** Reading the head of a sealed file, and getting at its keys: what opening and rewrapping share. */
import { equalBytes } from "@vivarium/core";
import { SealError } from "./errors.ts";
import {
  chunkCount,
  decodeHeader,
  type FileHeader,
  fixedBytes,
  macBytes,
  readPrefix,
  sealedBytes,
  wrapContext,
} from "./file-format.ts";
import { FileKeys } from "./file-keys.ts";
import type { ByteStore } from "./store.ts";
import type { KeyWrapper } from "./wrap.ts";

/** A header that has its form. Nothing of it has been authenticated. */
export interface ReadHeader {
  readonly header: FileHeader;
  readonly encoded: Uint8Array;
  readonly mac: Uint8Array;
  /** Where the first chunk begins. */
  readonly start: number;
}

/** @throws SealError `truncated`, `incomplete`, `malformed` or `limit-exceeded`. */
export async function readHeader(store: ByteStore): Promise<ReadHeader> {
  const headerBytes = readPrefix(await store.read(0, fixedBytes));
  const rest = await store.read(fixedBytes, headerBytes + macBytes);
  if (rest.length < headerBytes + macBytes) {
    throw new SealError("truncated", "The sealed file ends inside its header.");
  }
  const encoded = rest.subarray(0, headerBytes);
  return {
    header: decodeHeader(encoded),
    encoded,
    mac: rest.subarray(headerBytes),
    start: fixedBytes + headerBytes + macBytes,
  };
}

/**
 * The file's own key, once it has proven the header; and the keys derived from it.
 * @throws SealError `wrong-key` or `header-altered`.
 */
export async function unwrapKey(
  { header, encoded, mac }: ReadHeader,
  wrapper: KeyWrapper,
): Promise<{ readonly key: Uint8Array; readonly keys: FileKeys }> {
  if (header.wrapper !== wrapper.name) {
    throw new SealError(
      "wrong-key",
      `The key of this file is wrapped by "${header.wrapper}", not by "${wrapper.name}".`,
    );
  }
  const key = new Uint8Array(await wrapper.unwrap(header.wrappedKey, wrapContext(header.id)));
  if (key.length !== 32) {
    throw new SealError("wrong-key", "The key that was wrapped is not a file key.");
  }
  const keys = new FileKeys(key.slice(), header);
  if (!equalBytes(keys.macs(encoded).mac, mac)) {
    keys.close();
    key.fill(0);
    throw new SealError("header-altered", "The header of the sealed file was altered.");
  }
  return { key, keys };
}

/** @throws SealError `truncated`, `extended` or `header-swapped`. */
export async function requireWhole(
  store: ByteStore,
  { header, encoded }: ReadHeader,
  keys: FileKeys,
): Promise<void> {
  const size = await store.size();
  const expected = sealedBytes(header, encoded.length);
  if (size !== expected) {
    const code = size < expected ? "truncated" : "extended";
    throw new SealError(code, `The sealed file has ${size} bytes, not the ${expected} it should.`);
  }
  if (!equalBytes(keys.macs(encoded).footer, await store.read(size - macBytes, macBytes))) {
    throw new SealError(
      "header-swapped",
      "Header and content of the sealed file do not belong together, or its end was altered.",
    );
  }
}

/** What a sealed file says of itself. */
export interface FileDescription {
  readonly name: string;
  readonly version: number;
  readonly type: string;
  /** Bytes of the plaintext. */
  readonly length: number;
  readonly chunkBytes: number;
  readonly chunks: number;
  /** 16 bytes, different for every sealing. */
  readonly id: Uint8Array;
  /** Name of what wraps its key. */
  readonly wrapper: string;
  /** Bytes of the file, and those it should have. */
  readonly bytes: number;
  readonly expectedBytes: number;
}

/**
 * Reads the header without any key: **nothing of it is authentic**; whoever can write the file can
 * write this. Open the file to know.
 * @throws SealError `truncated`, `incomplete`, `malformed` or `limit-exceeded`.
 */
export async function describeSealedFile(store: ByteStore): Promise<FileDescription> {
  const { header, encoded } = await readHeader(store);
  const { name, version, type, length, chunkBytes, id, wrapper } = header;
  return {
    name,
    version,
    type,
    length,
    chunkBytes,
    chunks: chunkCount(header),
    id: new Uint8Array(id),
    wrapper,
    bytes: await store.size(),
    expectedBytes: sealedBytes(header, encoded.length),
  };
}
