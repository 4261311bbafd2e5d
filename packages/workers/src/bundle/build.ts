/**
 * Builds the code of one trust domain: a flat directory that runs without `node_modules`, the same
 * bytes from every clean build.
 */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join } from "node:path";
import { throwIfAborted, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { build, type Plugin } from "esbuild";
import { WorkersError } from "../errors.ts";
import {
  encodeManifest,
  isPlainName,
  type Manifest,
  type ManifestFile,
  manifestDigest,
} from "../manifest.ts";
import { stableNames } from "./names.ts";
import {
  bundledPiscina,
  guardModules,
  nativeShims,
  piscinaDirectory,
  tasksEntry,
  tasksSpecifier,
} from "./plugins.ts";
import { prelude } from "./prelude.ts";

/** A native library that goes into the bundle. */
export interface NativeFile {
  /** Path of the library. */
  readonly from: string;
  /** Its name in the bundle. */
  readonly as: string;
  /**
   * Import specifier that this addon stands for, such as `@duckdb/node-bindings`. Without one the
   * file is copied only: a library that an addon links to.
   */
  readonly replaces?: string;
}

export interface BundleOptions {
  /** Name of the trust domain, in the manifest. */
  readonly name: string;
  /** Module that calls `trustDomain`. */
  readonly entry: string;
  /** Module whose default export is `registerTasks(…)`. */
  readonly tasks?: string;
  /** Directory to write. If it exists it must be empty or hold an earlier bundle. */
  readonly outdir: string;
  readonly native?: readonly NativeFile[];
  readonly signal?: AbortSignal;
}

export interface Bundle {
  readonly directory: string;
  readonly manifest: Manifest;
  /** The `code` measurement, lower-case hex. */
  readonly digest: string;
}

const mainFile = "main.mjs";
const tasksFile = "tasks.mjs";

/**
 * @throws WorkersError `build-failed` if an import does not resolve or something would be loaded
 * from outside the bundle; `invalid-argument` for a name that is not plain or a directory with
 * other content.
 */
export async function buildBundle(options: BundleOptions): Promise<Bundle> {
  throwIfAborted(options.signal);
  const native = requireNative(options);
  const files = new Map<string, Uint8Array>();
  files.set(mainFile, await bundleMain(options, native));
  throwIfAborted(options.signal);
  if (options.tasks !== undefined) {
    files.set(tasksFile, await bundleTasks(options.tasks, native));
  }
  for (const { from, as } of native) files.set(as, await readFile(from));
  throwIfAborted(options.signal);

  const manifest: Manifest = {
    version: 1,
    name: options.name,
    main: mainFile,
    tasks: options.tasks === undefined ? null : tasksFile,
    native: native.map(({ as }) => as).sort(),
    files: [...files].map(([path, bytes]) => describe(path, bytes)).sort(byPath),
  };
  const manifestBytes = encodeManifest(manifest);
  await prepare(options.outdir);
  for (const [path, bytes] of files) {
    const source = native.find(({ as }) => as === path)?.from;
    if (source === undefined) await writeFile(join(options.outdir, path), bytes);
    else await copyFile(source, join(options.outdir, path));
  }
  await writeFile(join(options.outdir, "manifest.json"), manifestBytes);
  const digest = toHex(await manifestDigest(nodeCrypto(), manifestBytes));
  return { directory: options.outdir, manifest, digest };
}

function requireNative(options: BundleOptions): readonly NativeFile[] {
  const native = options.native ?? [];
  const taken = new Set([mainFile, tasksFile, "manifest.json", "vivarium-runtime"]);
  if (!isPlainName(options.name)) {
    throw new WorkersError("invalid-argument", "A bundle's name is a plain file name.");
  }
  for (const { as } of native) {
    if (!isPlainName(as) || taken.has(as)) {
      throw new WorkersError("invalid-argument", `"${as}" cannot be a native library's name.`);
    }
    taken.add(as);
  }
  return native;
}

async function bundleMain(
  options: BundleOptions,
  native: readonly NativeFile[],
): Promise<Uint8Array> {
  const entry = await realpath(options.entry);
  return run({ entryPoints: [entry] }, dirname(entry), native, [bundledPiscina(tasksFile)]);
}

async function bundleTasks(path: string, native: readonly NativeFile[]): Promise<Uint8Array> {
  const entry = await realpath(path);
  const thread = join(piscinaDirectory(), "worker.js");
  return run(
    {
      // The handler first: a tasks file that cannot load ends the thread before it says ready.
      stdin: {
        contents: `import ${JSON.stringify(tasksSpecifier)};\nimport ${JSON.stringify(thread)};\n`,
        resolveDir: dirname(entry),
        sourcefile: "vivarium-thread.js",
        loader: "js",
      },
    },
    dirname(entry),
    native,
    [bundledPiscina(tasksFile), tasksEntry(entry)],
  );
}

async function run(
  input: Parameters<typeof build>[0],
  base: string,
  native: readonly NativeFile[],
  plugins: readonly Plugin[],
): Promise<Uint8Array> {
  const replacements = new Map(
    native.flatMap(({ replaces, as }) => (replaces === undefined ? [] : [[replaces, as] as const])),
  );
  const result = await build({
    ...input,
    absWorkingDir: base,
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node20.19",
    charset: "utf8",
    minify: false,
    sourcemap: false,
    legalComments: "none",
    treeShaking: true,
    logLevel: "silent",
    // A tsconfig or an environment variable of the builder must not change the result.
    tsconfigRaw: "{}",
    define: { "process.env.NODE_ENV": '"production"' },
    // import() of a computed path would load what nobody measured: it becomes our `require`.
    supported: { "dynamic-import": false },
    banner: { js: prelude(native.map(({ as }) => as)) },
    plugins: [guardModules(), nativeShims(replacements), ...plugins],
  }).catch((cause: unknown) => {
    throw new WorkersError("build-failed", `The bundle cannot be built: ${firstError(cause)}`, {
      cause,
    });
  });
  const inputs = Object.keys(result.metafile.inputs);
  for (const output of Object.values(result.metafile.outputs)) {
    for (const { path, external, kind } of output.imports) {
      // A `require` that does not resolve fails in the prelude; an import statement would load.
      if (external === true && kind === "import-statement" && !isBuiltin(path)) {
        throw new WorkersError(
          "build-failed",
          `"${path}" would be loaded from outside the bundle; install it or remove the import.`,
        );
      }
    }
  }
  const [file] = result.outputFiles;
  if (file === undefined || result.outputFiles.length !== 1) {
    throw new WorkersError("build-failed", "The bundle is not one file.");
  }
  return utf8(stableNames(file.text, inputs, base));
}

function firstError(cause: unknown): string {
  const errors = (cause as { errors?: unknown }).errors;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first !== "object" || first === null || !("text" in first)) return "esbuild failed.";
  const location =
    "location" in first ? (first.location as { file?: string; line?: number }) : null;
  const where = location?.file === undefined ? "" : ` (${location.file}:${location.line ?? 0})`;
  return `${String(first.text)}${where}`;
}

function describe(path: string, bytes: Uint8Array): ManifestFile {
  return { path, sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
}

function byPath(a: ManifestFile, b: ManifestFile): number {
  return a.path < b.path ? -1 : 1;
}

/** Empties a directory only if all it holds is an earlier bundle. */
async function prepare(outdir: string): Promise<void> {
  await mkdir(outdir, { recursive: true });
  const present = await readdir(outdir);
  if (present.length > 0 && !present.includes("manifest.json")) {
    throw new WorkersError(
      "invalid-argument",
      `${outdir} holds other files; name an empty directory for the bundle.`,
    );
  }
  for (const name of present) await rm(join(outdir, name), { recursive: true, force: true });
}
