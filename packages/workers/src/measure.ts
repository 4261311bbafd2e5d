/**
 * Measured copies. A file that is hashed and then opened again by its path can be swapped in
 * between; so what runs is a copy in a fresh directory, and the digest is taken of the very bytes
 * that were written there.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chmod, type FileHandle, lstat, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WorkersError } from "./errors.ts";
import { manifestLimits } from "./limits.ts";
import { decodeManifest, type Manifest } from "./manifest.ts";

/** A digest of bytes as they were written, and their number. */
export interface Measured {
  readonly sha256: Uint8Array<ArrayBuffer>;
  readonly size: number;
}

const chunkBytes = 1024 * 1024;

/**
 * Copies one file, hashing what it writes.
 * @param mode of the copy, set once it is complete.
 * @throws WorkersError `invalid-manifest` if it is no regular file or larger than `maxBytes`.
 */
export async function copyMeasured(
  from: string,
  to: string,
  options: {
    readonly maxBytes: number;
    readonly mode: number;
    readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<Measured> {
  const source = await openRegular(from);
  try {
    const target = await open(to, "wx", 0o600);
    try {
      const measured = await pump(source, target, from, options);
      await finish(target, options);
      return measured;
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function openRegular(path: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    // A link could be pointed elsewhere; a FIFO would hang the launcher.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    throw new WorkersError("invalid-manifest", `${path} is not a regular file.`);
  }
  return file;
}

function unreadable(path: string, cause: unknown): WorkersError {
  return new WorkersError("invalid-manifest", `Cannot open ${path}; build the bundle again.`, {
    cause,
  });
}

async function pump(
  source: FileHandle,
  target: FileHandle,
  name: string,
  options: { readonly maxBytes: number; readonly signal?: AbortSignal | undefined },
): Promise<Measured> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(chunkBytes);
  let size = 0;
  for (;;) {
    if (options.signal?.aborted === true) {
      throw new WorkersError("aborted", "The launch was cancelled.", {
        cause: options.signal.reason,
      });
    }
    const { bytesRead } = await source.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) break;
    size += bytesRead;
    if (size > options.maxBytes) {
      throw new WorkersError(
        "invalid-manifest",
        `${name} is larger than its limit of ${options.maxBytes} bytes.`,
      );
    }
    const chunk = buffer.subarray(0, bytesRead);
    hash.update(chunk);
    let written = 0;
    while (written < bytesRead) {
      written += (await target.write(chunk, written, bytesRead - written, null)).bytesWritten;
    }
  }
  return { sha256: new Uint8Array(hash.digest()), size };
}

async function finish(
  file: FileHandle,
  options: {
    readonly mode: number;
    readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  },
): Promise<void> {
  if (options.owner !== undefined) await file.chown(options.owner.uid, options.owner.gid);
  await file.chmod(options.mode);
}

/** A launched bundle on disk. */
export interface Copy {
  readonly directory: string;
  readonly main: string;
  readonly executable: string;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array<ArrayBuffer>;
  readonly runtime: Measured;
  remove(): Promise<void>;
}

/** The runtime's name in a copied directory; no manifest may use it. */
const runtimeName = "vivarium-runtime";

/**
 * Makes the directory that a trust domain runs from: the manifest's files and the runtime, each
 * read-only, in a read-only directory.
 * @param group set if the process runs as another user: the copy stays ours, its group may read,
 * so that the process cannot change its own code even by `chmod`.
 * @throws WorkersError `digest-mismatch`, naming the file with expected and actual digest.
 */
export async function copyBundle(options: {
  readonly bundle: string;
  readonly executable: string;
  readonly directory?: string | undefined;
  readonly group?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}): Promise<Copy> {
  const manifestBytes = await readManifest(options.bundle);
  const manifest = decodeManifest(manifestBytes);
  const parent = options.directory ?? tmpdir();
  await sweep(parent);
  const directory = await mkdtemp(join(parent, `vivarium-worker-${process.pid}-`));
  const remove = async () => {
    await chmod(directory, 0o700).catch(() => undefined);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const owner =
      options.group === undefined
        ? undefined
        : { uid: process.getuid?.() ?? 0, gid: options.group };
    const shared = owner !== undefined;
    const common = { owner, signal: options.signal };
    for (const file of manifest.files) {
      const measured = await copyMeasured(
        join(options.bundle, file.path),
        join(directory, file.path),
        { ...common, maxBytes: manifestLimits.maxFileBytes, mode: shared ? 0o440 : 0o400 },
      );
      const actual = Buffer.from(measured.sha256).toString("hex");
      if (actual !== file.sha256 || measured.size !== file.size) {
        throw new WorkersError(
          "digest-mismatch",
          `${file.path} is not the file of the manifest: expected sha256 ${file.sha256} ` +
            `(${file.size} bytes), found ${actual} (${measured.size} bytes). Build the bundle again.`,
        );
      }
    }
    const executable = join(directory, runtimeName);
    const runtime = await copyMeasured(options.executable, executable, {
      ...common,
      maxBytes: manifestLimits.maxRuntimeBytes,
      mode: shared ? 0o550 : 0o500,
    });
    if (owner !== undefined) {
      const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
      await handle.chown(owner.uid, owner.gid).finally(() => handle.close());
    }
    await chmod(directory, shared ? 0o550 : 0o500);
    return {
      directory,
      main: join(directory, manifest.main),
      executable,
      manifest,
      manifestBytes,
      runtime,
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function readManifest(bundle: string): Promise<Uint8Array<ArrayBuffer>> {
  const file = await openRegular(join(bundle, "manifest.json"));
  try {
    const { size } = await file.stat();
    const buffer = new Uint8Array(Math.min(size, manifestLimits.maxManifestBytes) + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return buffer.slice(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Removes directories that a launcher left behind when it was killed. Only our own, never a link. */
async function sweep(parent: string): Promise<void> {
  for (const name of await readdir(parent).catch(() => [])) {
    const match = /^vivarium-worker-(\d{1,10})-[A-Za-z0-9]{6}$/.exec(name);
    if (match === null || isAlive(Number(match[1]))) continue;
    const path = join(parent, name);
    const stat = await lstat(path).catch(() => undefined);
    if (stat?.isDirectory() !== true || stat.uid !== process.getuid?.()) continue;
    await chmod(path, 0o700).catch(() => undefined);
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}
