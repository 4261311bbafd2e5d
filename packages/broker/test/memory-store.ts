/** Stores of tests: in memory, and one that fails when it is told to. */
import type { LogStore } from "../src/audit/store.ts";

export interface MemoryStore extends LogStore {
  readonly files: Map<string, Uint8Array>;
  /** Writes that still succeed; then each fails as a full disk does. */
  left: number;
}

export function memoryLogStore(files: Map<string, Uint8Array> = new Map()): MemoryStore {
  const store: MemoryStore = {
    files,
    left: Number.POSITIVE_INFINITY,
    read: async (path) => files.get(path)?.slice(),
    write: async (path, bytes) => {
      if (store.left <= 0) throw new Error("ENOSPC");
      store.left -= 1;
      files.set(path, bytes.slice());
    },
    remove: async (path) => void files.delete(path),
    list: async () => [...files.keys()].sort(),
  };
  return store;
}

export function copyOf(store: MemoryStore): MemoryStore {
  return memoryLogStore(new Map([...store.files].map(([path, bytes]) => [path, bytes.slice()])));
}
