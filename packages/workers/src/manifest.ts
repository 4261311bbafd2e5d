/**
 * The code manifest of a bundle: every file that a trust domain may load, with its SHA-256. Its
 * digest is the `code` measurement. What is not in it is not copied, and so cannot be loaded.
 */
import {
  CoreError,
  type Crypto,
  fromUtf8,
  labels,
  lengthPrefixed,
  requireWithin,
  utf8,
} from "@vivarium/core";
import { WorkersError } from "./errors.ts";
import { manifestLimits } from "./limits.ts";

export interface ManifestFile {
  /** A plain name: no directories, no leading dot. */
  readonly path: string;
  readonly sha256: string;
  readonly size: number;
}

export interface Manifest {
  readonly version: 1;
  /** Name of the trust domain, for people. */
  readonly name: string;
  /** The file that the process runs. */
  readonly main: string;
  /** The file that pool threads run. */
  readonly tasks: string | null;
  /** Names of native libraries: the only ones that the bundle's code may open. */
  readonly native: readonly string[];
  /** Sorted by path, in code-unit order. */
  readonly files: readonly ManifestFile[];
}

const plainName = /^[A-Za-z0-9_@][A-Za-z0-9._@+-]{0,127}$/;

/** True for names that stay inside the directory they are joined to. */
export function isPlainName(name: unknown): name is string {
  return typeof name === "string" && plainName.test(name);
}

/** The one textual form of a manifest: fixed field order, two spaces, a closing newline. */
export function encodeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  const { version, name, main, tasks, native } = manifest;
  const files = manifest.files.map(({ path, sha256, size }) => ({ path, sha256, size }));
  return utf8(`${JSON.stringify({ version, name, main, tasks, native, files }, null, 2)}\n`);
}

/**
 * Reads a manifest strictly: unknown or missing fields, odd names, unsorted or double files are
 * refused, and so is any text but the canonical one: two texts of one manifest would have two
 * digests.
 * @throws WorkersError `invalid-manifest`.
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  let document: unknown;
  try {
    requireWithin("Manifest bytes", bytes.length, manifestLimits.maxManifestBytes);
    document = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw refuse(cause instanceof CoreError ? cause.message : "it is not JSON", cause);
  }
  const manifest = requireManifest(document);
  const canonical = encodeManifest(manifest);
  if (canonical.length !== bytes.length || canonical.some((byte, i) => byte !== bytes[i])) {
    throw refuse("it is not in canonical form, or has unknown fields");
  }
  return manifest;
}

/** The `code` measurement: SHA-256 over the label and the manifest's bytes. */
export function manifestDigest(
  crypto: Crypto,
  manifestBytes: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return crypto.digest("SHA-256", lengthPrefixed(labels.manifest, manifestBytes));
}

function requireManifest(document: unknown): Manifest {
  if (!isRecord(document)) throw refuse("it is not an object");
  const { version, name, main, tasks, native, files } = document;
  if (version !== 1) throw refuse("version is not 1");
  if (!isPlainName(name)) throw refuse("name is not a plain name");
  if (!Array.isArray(files)) throw refuse("files is not a list");
  if (files.length > manifestLimits.maxFiles) {
    throw refuse(`it has ${files.length} files, over the limit of ${manifestLimits.maxFiles}`);
  }
  const list = files.map(requireFile);
  for (let i = 1; i < list.length; i++) {
    if ((list[i - 1] as ManifestFile).path >= (list[i] as ManifestFile).path) {
      throw refuse("files are not sorted, or one is there twice");
    }
  }
  const paths = new Set(list.map((file) => file.path));
  if (typeof main !== "string" || !paths.has(main)) throw refuse("main is not one of its files");
  if (tasks !== null && (typeof tasks !== "string" || !paths.has(tasks))) {
    throw refuse("tasks is neither null nor one of its files");
  }
  if (!Array.isArray(native) || !native.every((item) => paths.has(item))) {
    throw refuse("native names a file that is not listed");
  }
  return { version, name, main, tasks, native, files: list };
}

function requireFile(value: unknown): ManifestFile {
  if (!isRecord(value)) throw refuse("a file is not an object");
  const { path, sha256, size } = value;
  if (!isPlainName(path) || path === "manifest.json") throw refuse("a file has no plain name");
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw refuse(`the digest of ${path} is not 64 lower-case hexadecimal digits`);
  }
  if (
    typeof size !== "number" ||
    !Number.isSafeInteger(size) ||
    size < 0 ||
    size > manifestLimits.maxFileBytes
  ) {
    throw refuse(`the size of ${path} is out of range`);
  }
  return { path, sha256, size };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(reason: string, cause?: unknown): WorkersError {
  return new WorkersError("invalid-manifest", `The manifest is refused: ${reason}.`, { cause });
}
