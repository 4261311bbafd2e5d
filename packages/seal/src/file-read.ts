/** Reading sealed files, anywhere in them. Every byte that comes back has been authenticated. */
import { open } from "node:fs/promises";
import { equalBytes } from "@vivarium/core";
import { SealError } from "./errors.ts";
import {
  chunkCount,
  decodeHeader,
  type FileHeader,
  FileKeys,
  fixedBytes,
  macBytes,
  readPrefix,
  sealedBytes,
  tagBytes,
  wrapContext,
} from "./file-format.ts";
import { attempt, type ByteStore, fileStore } from "./store.ts";
import type { KeyWrapper } from "./wrap.ts";

export interface OpenFileOptions {
  /** The file this must be: an attacker on the host may have put another one in its place. */
  readonly name: string;
  readonly type: string;
  /** The oldest version to accept, from a {@link MonotonicCounter}; 0 accepts every one. */
  readonly minimumVersion: number;
  readonly wrapper: KeyWrapper;
}

export interface SealedFile extends AsyncDisposable {
  readonly name: string;
  readonly version: number;
  readonly type: string;
  /** Bytes of the plaintext. */
  readonly length: number;
  /** Exactly `length` bytes from `offset`. @throws SealError also if the file ends before. At most 64 MiB. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** All of it, chunk by chunk. */
  chunks(): AsyncIterable<Uint8Array<ArrayBuffer>>;
  /** Zeroes the keys. */
  close(): Promise<void>;
}

export const maxReadBytes: number = 64 * 1024 * 1024;

/** @throws SealError with a code for each way in which a file can be wrong. */
export async function openSealedFile(
  store: ByteStore,
  options: OpenFileOptions,
): Promise<SealedFile> {
  const headerBytes = readPrefix(await store.read(0, fixedBytes));
  const rest = await store.read(fixedBytes, headerBytes + macBytes);
  if (rest.length < headerBytes + macBytes) {
    throw new SealError("truncated", "The sealed file ends inside its header.");
  }
  const encoded = rest.subarray(0, headerBytes);
  const header = decodeHeader(encoded);
  const keys = await unwrapKeys(header, options.wrapper);
  try {
    const { mac, footer } = keys.macs(encoded);
    if (!equalBytes(mac, rest.subarray(headerBytes))) {
      throw new SealError("header-altered", "The header of the sealed file was altered.");
    }
    requireExpected(header, options);
    const size = await store.size();
    const expected = sealedBytes(header, headerBytes);
    if (size !== expected) {
      const code = size < expected ? "truncated" : "extended";
      throw new SealError(
        code,
        `The sealed file has ${size} bytes, not the ${expected} it should.`,
      );
    }
    if (!equalBytes(footer, await store.read(size - macBytes, macBytes))) {
      throw new SealError(
        "header-swapped",
        "Header and content of the sealed file do not belong together, or its end was altered.",
      );
    }
  } catch (error) {
    keys.close();
    throw error;
  }
  return reader(store, header, keys, fixedBytes + headerBytes + macBytes);
}

/** {@link openSealedFile} at a path; closing the file closes the handle. */
export async function openSealedFileAt(
  path: string,
  options: OpenFileOptions,
): Promise<SealedFile> {
  const handle = await attempt(`open ${path}`, () => open(path, "r"));
  try {
    const file = await openSealedFile(fileStore(handle), options);
    const close = async (): Promise<void> => {
      await file.close();
      await handle.close();
    };
    return { ...file, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function unwrapKeys(header: FileHeader, wrapper: KeyWrapper): Promise<FileKeys> {
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
  return new FileKeys(key, header);
}

/** The header is authentic; is it the one that was asked for? */
function requireExpected(header: FileHeader, options: OpenFileOptions): void {
  const { name, type, minimumVersion } = options;
  if (header.name !== name || header.type !== type) {
    throw new SealError(
      "renamed",
      `This sealed file is "${header.name}" (${header.type}), not "${name}" (${type}).`,
    );
  }
  if (!(header.version >= minimumVersion)) {
    throw new SealError(
      "rolled-back",
      `This sealed file is version ${header.version}; version ${minimumVersion} has been seen.`,
    );
  }
}

function reader(store: ByteStore, header: FileHeader, keys: FileKeys, start: number): SealedFile {
  const { name, version, type, length, chunkBytes } = header;
  const count = chunkCount(header);

  const chunk = async (index: number): Promise<Uint8Array<ArrayBuffer>> => {
    const last = index === count - 1;
    const size = (last ? length - index * chunkBytes : chunkBytes) + tagBytes;
    const sealed = await store.read(start + index * (chunkBytes + tagBytes), size);
    if (sealed.length < size) {
      throw new SealError("truncated", `The sealed file ends inside chunk ${index}.`);
    }
    const plaintext = keys.open(index, last, sealed);
    if (plaintext !== undefined) return plaintext;
    const origin = placeOf(keys, sealed, index, count);
    if (origin !== undefined) {
      throw new SealError("reordered", `Chunk ${origin} stands where chunk ${index} belongs.`);
    }
    throw new SealError("chunk-altered", `Chunk ${index} of the sealed file was altered.`);
  };

  const close = async (): Promise<void> => keys.close();
  return {
    name,
    version,
    type,
    length,
    read: async (offset, bytes) => {
      const valid = Number.isSafeInteger(offset) && Number.isSafeInteger(bytes);
      if (!valid || offset < 0 || bytes < 0 || offset + bytes > length) {
        throw new SealError("invalid-argument", `No ${bytes} bytes at ${offset} of ${length}.`);
      }
      if (bytes > maxReadBytes) {
        throw new SealError("limit-exceeded", `One read gives at most ${maxReadBytes} bytes.`);
      }
      const out = new Uint8Array(bytes);
      for (let done = 0; done < bytes; ) {
        const index = Math.floor((offset + done) / chunkBytes);
        const from = offset + done - index * chunkBytes;
        const part = (await chunk(index)).subarray(from, from + bytes - done);
        out.set(part, done);
        done += part.length;
      }
      return out;
    },
    async *chunks() {
      for (let index = 0; index < count; index++) yield await chunk(index);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** How many places a chunk that does not open is tried at: only to say what happened to it. */
const maxPlacesTried = 64;

function placeOf(
  keys: FileKeys,
  sealed: Uint8Array,
  index: number,
  count: number,
): number | undefined {
  const first = Math.max(0, Math.min(index - maxPlacesTried / 2, count - maxPlacesTried));
  for (let i = first; i < Math.min(count, first + maxPlacesTried); i++) {
    if (i !== index && keys.open(i, i === count - 1, sealed) !== undefined) return i;
  }
  return undefined;
}
