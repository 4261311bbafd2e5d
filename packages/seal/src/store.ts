/** Random-access bytes that a sealed file lies in. This package opens no path it was not given. */
import { type FileHandle, open, rename, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { SealError } from "./errors.ts";

export interface ByteStore {
  /** Bytes in it now. */
  size(): Promise<number>;
  /** Fewer bytes than asked for only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** `bytes` are the caller's again when it resolves: keep a copy, not the view. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Resolves when the bytes would survive a power cut. */
  sync(): Promise<void>;
}

/** In memory, growing as written. */
export function memoryStore(initial: Uint8Array = new Uint8Array(0)): ByteStore & {
  bytes(): Uint8Array<ArrayBuffer>;
} {
  let held = new Uint8Array(initial);
  return {
    size: async () => held.length,
    read: async (offset, length) => held.slice(offset, offset + length),
    write: async (offset, bytes) => {
      if (offset + bytes.length > held.length) {
        const grown = new Uint8Array(offset + bytes.length);
        grown.set(held);
        held = grown;
      }
      held.set(bytes, offset);
    },
    sync: async () => {},
    bytes: () => held.slice(),
  };
}

/** On a handle of the caller's, who closes it. */
export function fileStore(handle: FileHandle): ByteStore {
  return {
    size: async () => (await handle.stat()).size,
    read: async (offset, length) => {
      const out = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(out, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return out.subarray(0, done);
    },
    write: async (offset, bytes) => {
      let done = 0;
      while (done < bytes.length) {
        const left = bytes.length - done;
        done += (await handle.write(bytes, done, left, offset + done)).bytesWritten;
      }
    },
    sync: () => handle.sync(),
  };
}

/**
 * Runs `write` on a new file (mode 0600) and puts it in the place of `path` only when it is whole
 * and on disk: after a crash there is the old file or the new one, never half of one.
 * @throws SealError `unavailable`, and whatever `write` throws.
 */
export async function replaceFile(
  path: string,
  write: (store: ByteStore) => Promise<void>,
): Promise<void> {
  const fresh = `${path}.new`;
  // A leftover of a crash is ours to remove; "wx" then refuses a link that someone planted.
  await unlink(fresh).catch(() => {});
  const handle = await attempt(`create ${fresh}`, () => open(fresh, "wx", 0o600));
  try {
    await write(fileStore(handle));
    await attempt(`write ${fresh}`, () => handle.sync());
  } catch (error) {
    await handle.close();
    await unlink(fresh).catch(() => {});
    throw error;
  }
  await handle.close();
  await attempt(`replace ${path}`, () => rename(fresh, path));
  await syncDirectory(dirname(path));
}

/** A name is on disk only when its directory is. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await attempt(`open ${path}`, () => open(path, "r"));
  try {
    await attempt(`sync ${path}`, () => handle.sync());
  } finally {
    await handle.close();
  }
}

/** @throws SealError `unavailable`, naming what could not be done. */
export async function attempt<T>(what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new SealError("unavailable", `Cannot ${what}: ${(cause as Error).message}`, { cause });
  }
}
