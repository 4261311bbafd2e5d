/** Reading sealed files, anywhere in them. Every byte that comes back has been authenticated. */
import { open } from "node:fs/promises";
import { SealError } from "./errors.ts";
import { chunkCount, type FileHeader, tagBytes } from "./file-format.ts";
import { readHeader, requireWhole, unwrapKey } from "./file-header.ts";
import type { FileKeys } from "./file-keys.ts";
import { release } from "./release.ts";
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
  /** Fills `target` from `offset`, without new memory for each chunk; at any length. @throws as `read`. */
  readInto(offset: number, target: Uint8Array): Promise<void>;
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
  const read = await readHeader(store);
  const { key, keys } = await unwrapKey(read, options.wrapper);
  key.fill(0);
  try {
    requireExpected(read.header, options);
    await requireWhole(store, read, keys);
  } catch (error) {
    keys.close();
    throw error;
  }
  return reader(store, read.header, keys, read.start);
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

  const sizeOf = (index: number): number =>
    index === count - 1 ? length - index * chunkBytes : chunkBytes;

  /** The chunk as it is stored. */
  const fetch = async (index: number): Promise<Uint8Array> => {
    const size = sizeOf(index) + tagBytes;
    const sealed = await store.read(start + index * (chunkBytes + tagBytes), size);
    if (sealed.length < size) {
      throw new SealError("truncated", `The sealed file ends inside chunk ${index}.`);
    }
    return sealed;
  };

  const openInto = (index: number, sealed: Uint8Array, into: Uint8Array): void => {
    if (keys.open(index, index === count - 1, sealed, into)) return;
    const origin = placeOf(keys, sealed, index, count);
    if (origin !== undefined) {
      throw new SealError("reordered", `Chunk ${origin} stands where chunk ${index} belongs.`);
    }
    throw new SealError("chunk-altered", `Chunk ${index} of the sealed file was altered.`);
  };

  const chunk = async (index: number): Promise<Uint8Array<ArrayBuffer>> => {
    const sealed = await fetch(index);
    const out = new Uint8Array(sizeOf(index));
    openInto(index, sealed, out);
    return out;
  };

  const readInto = async (offset: number, target: Uint8Array): Promise<void> => {
    const bytes = target.length;
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes > length) {
      throw new SealError("invalid-argument", `No ${bytes} bytes at ${offset} of ${length}.`);
    }
    // Other threads would see what is not authenticated yet.
    const shared = !(target.buffer instanceof ArrayBuffer);
    try {
      for (let done = 0; done < bytes; ) {
        const index = Math.floor((offset + done) / chunkBytes);
        const from = offset + done - index * chunkBytes;
        const size = sizeOf(index);
        if (!shared && from === 0 && size <= bytes - done) {
          openInto(index, await fetch(index), target.subarray(done, done + size));
          done += size;
          continue;
        }
        const plaintext = await chunk(index);
        const part = plaintext.subarray(from, from + bytes - done);
        target.set(part, done);
        done += part.length;
        plaintext.fill(0);
        release(plaintext);
      }
    } catch (error) {
      // Part of what was asked for must not pass for the whole.
      target.fill(0);
      throw error;
    }
  };

  const close = async (): Promise<void> => keys.close();
  return {
    name,
    version,
    type,
    length,
    readInto,
    read: async (offset, bytes) => {
      const valid = Number.isSafeInteger(bytes) && bytes >= 0;
      if (!valid || !(offset + bytes <= length)) {
        throw new SealError("invalid-argument", `No ${bytes} bytes at ${offset} of ${length}.`);
      }
      if (bytes > maxReadBytes) {
        throw new SealError("limit-exceeded", `One read gives at most ${maxReadBytes} bytes.`);
      }
      const out = new Uint8Array(bytes);
      await readInto(offset, out);
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
  const scratch = new Uint8Array(sealed.length - tagBytes);
  const first = Math.max(0, Math.min(index - maxPlacesTried / 2, count - maxPlacesTried));
  for (let i = first; i < Math.min(count, first + maxPlacesTried); i++) {
    if (i === index || !keys.open(i, i === count - 1, sealed, scratch)) continue;
    scratch.fill(0);
    return i;
  }
  return undefined;
}
