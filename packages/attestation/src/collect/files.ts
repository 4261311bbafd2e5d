/**
 * The files of a platform: the kernel's and Gramine's interfaces are files whose reads have effects, so
 * that a plain directory cannot stand for them; tests give a tree that behaves.
 */
import { constants } from "node:fs";
import { access, mkdir, open, rmdir } from "node:fs/promises";
import { AttestationError } from "../errors.ts";

export interface PlatformFiles {
  /** @throws errors with a `code`, as `node:fs` has them. */
  exists(path: string): Promise<boolean>;
  /** The whole file, up to `maxBytes`: pseudo-files do not know their size. */
  read(path: string, maxBytes: number): Promise<Uint8Array>;
  /** In one `write`: the kernel takes each as a value of its own. */
  write(path: string, data: Uint8Array): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
}

/** The machine's own. @param root stands for `/`. */
export function platformFiles(root = ""): PlatformFiles {
  const at = (path: string): string => `${root}${path}`;
  return {
    exists: (path) =>
      access(at(path), constants.F_OK).then(
        () => true,
        () => false,
      ),
    async read(path, maxBytes) {
      const file = await open(at(path), "r");
      try {
        const buffer = new Uint8Array(maxBytes + 1);
        let length = 0;
        for (;;) {
          const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
          if (bytesRead === 0) return buffer.slice(0, length);
          length += bytesRead;
          if (length > maxBytes) {
            throw new AttestationError("unavailable", `${path} holds over ${maxBytes} bytes.`);
          }
        }
      } finally {
        await file.close();
      }
    },
    async write(path, data) {
      const file = await open(at(path), constants.O_WRONLY);
      try {
        const { bytesWritten } = await file.write(data, 0, data.length, null);
        if (bytesWritten !== data.length) {
          throw new AttestationError("unavailable", `${path} took only a part.`);
        }
      } finally {
        await file.close();
      }
    },
    makeDirectory: async (path) => void (await mkdir(at(path), { mode: 0o700 })),
    removeDirectory: (path) => rmdir(at(path)),
  };
}

/** What stands in the way, for people; `hint` says what to do where nothing better is known. */
export function unavailable(path: string, cause: unknown, hint: string): AttestationError {
  if (cause instanceof AttestationError) return cause;
  const code = (cause as { code?: unknown } | null)?.code;
  const reason =
    code === "ENOENT"
      ? `is absent. ${hint}`
      : code === "EACCES" || code === "EPERM"
        ? "is not permitted to this user: run as root, or give its group the right to it."
        : code === "ENXIO"
          ? "has no provider: the guest's driver (tdx_guest, sev_guest, arm_cca_guest) is not loaded."
          : `cannot be used (${typeof code === "string" ? code : "unknown error"}). ${hint}`;
  return new AttestationError("unavailable", `${path} ${reason}`, { cause });
}

/** One after another: what is written before a read belongs to it alone. */
export function inTurn(): <T>(work: () => Promise<T>) => Promise<T> {
  let before: Promise<unknown> = Promise.resolve();
  return (work) => {
    const result = before.then(work, work);
    before = result.catch(() => undefined);
    return result;
  };
}
