/** Files that the user names: read within a limit, written without overwriting, errors in one line. */
import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open } from "node:fs/promises";
import { isAbsolute, resolve } from "node:path";
import { fromUtf8 } from "@vivarium/core";
import { CliError } from "./errors/error.ts";

/** Largest file of each kind that a command reads whole, in bytes. */
export const fileLimits: Readonly<
  Record<
    | "config"
    | "party"
    | "evidence"
    | "eventLog"
    | "collateral"
    | "receipt"
    | "boot"
    | "bootLog"
    | "proof",
    number
  >
> = {
  config: 1024 * 1024,
  party: 64 * 1024,
  evidence: 4 * 1024 * 1024,
  // Evidence may be 384 KiB in all where it crosses a channel.
  eventLog: 256 * 1024,
  collateral: 4 * 1024 * 1024,
  receipt: 1024 * 1024,
  // A kernel or an initrd.
  boot: 1024 * 1024 * 1024,
  bootLog: 2 * 1024 * 1024,
  proof: 256 * 1024,
};

const firstBytes = 65_536;

/** @param cwd absolute. */
export function absolute(cwd: string, path: string): string {
  return isAbsolute(path) ? path : resolve(cwd, path);
}

/**
 * @param what names the file in messages: `policy file`.
 * @param maxBytes checked while reading: a pipe has no size beforehand.
 * @throws CliError `not-found`, `inaccessible` or `too-large`.
 */
export async function readBounded(
  path: string,
  what: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    // Grown as it fills: the limit of a large kind of file is no reason to take that much memory.
    let parts = new Uint8Array(Math.min(maxBytes + 1, firstBytes));
    let length = 0;
    while (length <= maxBytes) {
      if (length === parts.length) {
        const grown = new Uint8Array(Math.min(maxBytes + 1, 2 * length));
        grown.set(parts);
        parts = grown;
      }
      const { bytesRead } = await file.read(parts, length, parts.length - length, null);
      if (bytesRead === 0) return parts.slice(0, length);
      length += bytesRead;
    }
  } catch (cause) {
    throw fileError(cause, path, what, "read");
  } finally {
    await file?.close();
  }
  throw new CliError("too-large", `The ${what} ${path} is over the limit of ${maxBytes} bytes.`);
}

/** @throws also CliError `invalid-config` for bytes that are not UTF-8. */
export async function readText(path: string, what: string, maxBytes: number): Promise<string> {
  const bytes = await readBounded(path, what, maxBytes);
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw notText(path, what, cause);
  }
}

/**
 * Writes a new file; an existing one is left alone.
 * @param mode permission bits, cut by the umask.
 * @throws CliError `exists` or `inaccessible`.
 */
export async function writeNew(
  path: string,
  what: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  try {
    // O_EXCL also refuses to follow a symbolic link that somebody put there before us.
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const file = await open(path, flags, mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw fileError(cause, path, what, "write");
  }
}

/**
 * For files that are written at the end of a long command: better to hear it at the start.
 * @throws CliError `exists`.
 */
export async function refuseExistingFile(path: string, what: string): Promise<void> {
  try {
    await lstat(path);
  } catch (cause) {
    if (errno(cause) === "ENOENT") return;
    throw fileError(cause, path, what, "write");
  }
  throw new CliError("exists", `The ${what} ${path} exists already.`);
}

/** A directory that only its owner can enter, with its parents. */
export async function makePrivateDirectory(path: string, what: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fileError(cause, path, what, "write");
  }
}

function notText(path: string, what: string, cause: unknown): CliError {
  return new CliError("invalid-config", `The ${what} ${path} is not UTF-8 text.`, { cause });
}

/** An error of the file system, in the user's words. */
export function fileError(
  cause: unknown,
  path: string,
  what: string,
  verb: "read" | "write",
): CliError {
  const code = errno(cause);
  const options = { cause };
  switch (code) {
    case "ENOENT":
      return verb === "read"
        ? new CliError("not-found", `The ${what} ${path} does not exist.`, options)
        : new CliError(
            "not-found",
            `The directory for the ${what} ${path} does not exist.`,
            options,
          );
    case "EEXIST":
      return new CliError("exists", `The ${what} ${path} exists already.`, options);
    case "EISDIR":
      return new CliError("inaccessible", `The ${what} ${path} is a directory.`, options);
    default:
      return new CliError(
        "inaccessible",
        `Cannot ${verb} the ${what} ${path} (${code ?? "unknown error"}).`,
        options,
      );
  }
}

/** `ENOENT` and the like; undefined for errors that are not the system's. */
export function errno(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
