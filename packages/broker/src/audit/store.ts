/** Where the files of a log lie. A write is whole and durable when it resolves, or did not happen. */
import { mkdir, open, readdir, readFile, rename, rm, unlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { BrokerError } from "../errors.ts";

export interface LogStore {
  /** Undefined if there is none. @param path relative, as in the tlog-tiles layout. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces what was there, atomically; on disk when it resolves. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  remove(path: string): Promise<void>;
  /** Every file there is. */
  list(): Promise<readonly string[]>;
}

/** Bigger files are not ours: a bundle of 256 entries of 64 KiB is the biggest one. */
const maxFileBytes = 256 * (65_535 + 2);
const temporary = ".new";

/** In a directory, made with mode 0700 where absent. */
export function directoryStore(root: string): LogStore {
  const at = (path: string): string => join(root, path);
  return {
    async read(path) {
      try {
        const handle = await open(at(path), "r");
        try {
          const { size } = await handle.stat();
          if (size > maxFileBytes) {
            throw new BrokerError("tampered", `The audit log was changed: ${path} is too large.`);
          }
          return new Uint8Array(await handle.readFile());
        } finally {
          await handle.close();
        }
      } catch (cause) {
        if (codeOf(cause) === "ENOENT") return undefined;
        throw unavailable("read", path, cause);
      }
    },
    async write(path, bytes) {
      const target = at(path);
      try {
        await mkdir(dirname(target), { recursive: true, mode: 0o700 });
        const handle = await open(`${target}${temporary}`, "w", 0o600);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(`${target}${temporary}`, target);
        await syncUp(dirname(target), root);
      } catch (cause) {
        await unlink(`${target}${temporary}`).catch(() => {});
        throw unavailable("write", path, cause);
      }
    },
    async remove(path) {
      await rm(at(path), { force: true }).catch((cause) => {
        throw unavailable("remove", path, cause);
      });
    },
    async list() {
      try {
        const entries = await readdir(root, { recursive: true, withFileTypes: true });
        return entries
          .filter((entry) => !entry.isDirectory())
          .map((entry) => relative(root, join(entry.parentPath, entry.name)))
          .sort();
      } catch (cause) {
        if (codeOf(cause) === "ENOENT") return [];
        throw unavailable("list", ".", cause);
      }
    },
  };
}

/** A file is on disk only when the directories on the way to it are. */
async function syncUp(directory: string, root: string): Promise<void> {
  for (let at = directory; ; at = dirname(at)) {
    const handle = await open(at, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (at === root || at === dirname(at)) return;
  }
}

const locks = "lock";

/**
 * Keeps a second process from writing: two writers would sign two histories. Released when the holder
 * ends, however it does: the file names a process, and one that is gone holds nothing.
 * @throws BrokerError `in-use`.
 */
export async function lockDirectory(root: string): Promise<() => Promise<void>> {
  const path = join(root, locks);
  await mkdir(root, { recursive: true, mode: 0o700 });
  const own = `${process.pid} ${(await startOf(process.pid)) ?? "-"}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const handle = await open(path, "wx", 0o600);
      try {
        await handle.writeFile(own);
      } finally {
        await handle.close();
      }
      return async () => {
        if ((await readFile(path, "utf8").catch(() => "")) === own) await unlink(path);
      };
    } catch (cause) {
      if (codeOf(cause) !== "EEXIST") throw unavailable("lock", root, cause);
    }
    const [pid = "", start = ""] = (await readFile(path, "utf8").catch(() => "")).trim().split(" ");
    if (/^\d+$/.test(pid) && (await startOf(Number(pid))) === start) {
      throw new BrokerError("in-use", `Process ${pid} writes the log in ${root}; stop it first.`);
    }
    await unlink(path).catch(() => {});
  }
  throw new BrokerError("in-use", `Another process is opening the log in ${root}.`);
}

/** When a process was started, in the kernel's ticks; undefined if there is none (or no /proc). */
async function startOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    try {
      process.kill(pid, 0);
      return "-";
    } catch (error) {
      return codeOf(error) === "EPERM" ? "-" : undefined;
    }
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

function unavailable(verb: string, path: string, cause: unknown): BrokerError {
  if (cause instanceof BrokerError) return cause;
  const why = codeOf(cause) ?? "unknown error";
  return new BrokerError("unavailable", `Cannot ${verb} ${path} of the audit log (${why}).`, {
    cause,
  });
}
