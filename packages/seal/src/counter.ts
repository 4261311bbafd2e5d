/**
 * Counters that only rise: what tells the newest version of a sealed file from an older one that
 * the host has put back.
 */
import { open, readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { SealError } from "./errors.ts";
import { attempt, syncDirectory } from "./store.ts";

export interface MonotonicCounter {
  /** False if whoever controls the disk can set the counter back together with the file. */
  readonly rollbackProtection: boolean;
  /** 0 for a counter that was never advanced. @param name lower-case letters, digits, `-`; at most 64. */
  read(name: string): Promise<number>;
  /**
   * Sets the counter. On disk when it resolves.
   * @throws SealError `rolled-back` unless `to` is higher than the counter.
   */
  advance(name: string, to: number): Promise<void>;
}

const counterName = /^[a-z0-9][a-z0-9-]{0,63}$/;

/**
 * Counters as empty files `name.value` in a directory (mode 0700 is the caller's to set). Making
 * the file for a value is atomic and fails for the second of two processes; the highest value
 * counts, so a crash at any moment leaves the old or the new one. No rollback protection: a host
 * that restores the directory restores the counter.
 */
export function fileCounter(directory: string): MonotonicCounter {
  const values = async (name: string): Promise<number[]> => {
    if (!counterName.test(name)) {
      throw new SealError("invalid-argument", "A counter's name has a-z, 0-9 and -, at most 64.");
    }
    const entries = await attempt(`read ${directory}`, () => readdir(directory));
    return entries.flatMap((entry) => {
      if (!entry.startsWith(`${name}.`)) return [];
      const digits = entry.slice(name.length + 1);
      const value = Number(digits);
      return /^[1-9]\d{0,15}$/.test(digits) && Number.isSafeInteger(value) ? [value] : [];
    });
  };
  const highest = (all: readonly number[]): number => all.reduce((a, b) => Math.max(a, b), 0);
  return {
    rollbackProtection: false,
    read: async (name) => highest(await values(name)),
    advance: async (name, to) => {
      if (!Number.isSafeInteger(to) || to < 1) {
        throw new SealError("invalid-argument", "A counter advances to a positive safe integer.");
      }
      const before = await values(name);
      const refuse = (now: number): never => {
        throw new SealError("rolled-back", `Counter ${name} is at ${now}; it cannot go to ${to}.`);
      };
      if (to <= highest(before)) refuse(highest(before));
      const path = join(directory, `${name}.${to}`);
      let handle: Awaited<ReturnType<typeof open>>;
      try {
        handle = await open(path, "wx", 0o600);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "EEXIST") return refuse(to);
        throw new SealError("unavailable", `Cannot create ${path}.`, { cause });
      }
      await attempt(`sync ${path}`, () => handle.sync()).finally(() => handle.close());
      await syncDirectory(directory);
      const now = highest(await values(name));
      if (now > to) refuse(now);
      for (const old of before) await unlink(join(directory, `${name}.${old}`)).catch(() => {});
    },
  };
}
