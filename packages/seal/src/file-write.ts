/** Writing sealed files: once, in order, at any length. A file is never changed in place. */
import { concat, type Random, systemRandom } from "@vivarium/core";
import { SealError } from "./errors.ts";
import {
  defaultChunkBytes,
  encodeHeader,
  encodePrefix,
  type FileHeader,
  fixedBytes,
  macBytes,
  wrapContext,
} from "./file-format.ts";
import { FileKeys } from "./file-keys.ts";
import { release } from "./release.ts";
import { type ByteStore, replaceFile } from "./store.ts";
import type { KeyWrapper } from "./wrap.ts";

export interface SealFileOptions {
  /** What the file is, 1 to 255 characters; whoever opens it must name it. Not a path. Not secret. */
  readonly name: string;
  /** Rises with each new content of the same name. */
  readonly version: number;
  /** Media type or format name, 1 to 127 characters. Not secret. */
  readonly type: string;
  readonly wrapper: KeyWrapper;
  /** 4 KiB to 16 MiB; default 1 MiB. */
  readonly chunkBytes?: number;
  readonly random?: Random;
}

export interface SealedWriter {
  /** One call at a time. */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes the last chunk and, only when all is on disk, the header. */
  finish(): Promise<void>;
  /** Zeroes the keys; an unfinished file can never be opened. */
  close(): void;
}

/**
 * @param store empty.
 * @throws SealError `invalid-argument` or `malformed` for a name, type or size out of range.
 */
export async function createSealedFile(
  store: ByteStore,
  options: SealFileOptions,
): Promise<SealedWriter> {
  const { name, version, type, wrapper, chunkBytes = defaultChunkBytes } = options;
  const random = options.random ?? systemRandom();
  if ((await store.size()) !== 0) {
    throw new SealError("invalid-argument", "A sealed file is written to an empty store only.");
  }
  const key = random.bytes(32);
  const id = random.bytes(16);
  const wrappedKey = new Uint8Array(await wrapper.wrap(key, wrapContext(id)));
  const header: FileHeader = {
    name,
    version,
    type,
    chunkBytes,
    length: 0,
    id,
    nonce: random.bytes(7),
    wrapper: wrapper.name,
    wrappedKey,
  };
  const headerBytes = encodeHeader(header).length;
  const keys = new FileKeys(key, header);
  const start = fixedBytes + headerBytes + macBytes;
  // Zeros until the end: a file that was cut short says so.
  await store.write(0, new Uint8Array(start));
  let position = start;
  let index = 0;
  let length = 0;
  let state: "open" | "busy" | "done" = "open";
  const pending = new Uint8Array(chunkBytes);
  let filled = 0;

  const put = async (last: boolean, plaintext: Uint8Array): Promise<void> => {
    const { body, tag } = keys.seal(index++, last, plaintext);
    await store.write(position, body);
    await store.write(position + body.length, tag);
    position += body.length + tag.length;
    release(body);
  };
  const flush = async (last: boolean): Promise<void> => {
    await put(last, pending.subarray(0, filled));
    filled = 0;
  };
  const exclusively = async (run: () => Promise<void>): Promise<void> => {
    if (state === "done") throw new SealError("closed", "The sealed file has been closed.");
    if (state === "busy") {
      throw new SealError("invalid-argument", "Await one write to a sealed file before the next.");
    }
    state = "busy";
    try {
      await run();
      if (state === "busy") state = "open";
    } catch (error) {
      // A chunk may be half written: going on would leave a hole, writing it again reuse a nonce.
      close();
      throw error;
    }
  };
  const close = (): void => {
    state = "done";
    keys.close();
    pending.fill(0);
  };

  return {
    write: (bytes) =>
      exclusively(async () => {
        let taken = 0;
        while (taken < bytes.length) {
          // A full chunk waits for more: only then is it known not to be the last.
          if (filled === chunkBytes) await flush(false);
          if (filled === 0 && bytes.length - taken > chunkBytes) {
            await put(false, bytes.subarray(taken, taken + chunkBytes));
            taken += chunkBytes;
            continue;
          }
          const part = bytes.subarray(taken, taken + chunkBytes - filled);
          pending.set(part, filled);
          filled += part.length;
          taken += part.length;
        }
        length += bytes.length;
      }),
    finish: () =>
      exclusively(async () => {
        await flush(true);
        const finished = encodeHeader({ ...header, length });
        const { mac, footer } = keys.macs(finished);
        await store.write(position, footer);
        await store.sync();
        await store.write(0, concat(encodePrefix(finished.length), finished, mac));
        await store.sync();
        close();
      }),
    close,
  };
}

/** Seals a whole content: bytes, or a stream of them. */
export async function sealFile(
  store: ByteStore,
  content: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: SealFileOptions,
): Promise<void> {
  const writer = await createSealedFile(store, options);
  try {
    if (content instanceof Uint8Array) await writer.write(content);
    else for await (const part of content) await writer.write(part);
    await writer.finish();
  } finally {
    writer.close();
  }
}

/** {@link sealFile} to a path: afterwards it holds the old file or the whole new one. */
export function sealFileAt(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: SealFileOptions,
): Promise<void> {
  return replaceFile(path, (store) => sealFile(store, content, options));
}
