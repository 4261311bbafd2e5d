/**
 * Builds the bundle of the PSI trust domain into `dist/bundle`: main, tasks and DuckDB's library for
 * this platform. A program of the build, not part of what it builds.
 */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBundle, type NativeFile } from "@vivarium/workers/bundle";

const library = process.platform === "darwin" ? "libduckdb.dylib" : "libduckdb.so";

/** From where tables finds DuckDB, step by step: it is no dependency of ours. */
function duckdbDirectory(): string {
  const tables = createRequire(fileURLToPath(import.meta.resolve("@vivarium/tables")));
  const api = createRequire(tables.resolve("@duckdb/node-api"));
  const bindings = createRequire(api.resolve("@duckdb/node-bindings"));
  const platform = `${process.platform}-${process.arch}`;
  return dirname(bindings.resolve(`@duckdb/node-bindings-${platform}/duckdb.node`));
}

/** The native kernel, where it was compiled: an engine of the bundle, and so measured with it. */
function kernel(): readonly NativeFile[] {
  const loader = fileURLToPath(import.meta.resolve("@vivarium/curve25519/addon"));
  const from = join(dirname(loader), "native", "curve25519.node");
  const replaces = "@vivarium/curve25519/addon";
  return existsSync(from) ? [{ from, as: "curve25519.node", replaces }] : [];
}

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const duckdb = duckdbDirectory();

await buildBundle({
  name: "psi",
  entry: here("./main.js"),
  tasks: here("./tasks.js"),
  outdir: here("../bundle"),
  native: [
    { from: join(duckdb, "duckdb.node"), as: "duckdb.node", replaces: "@duckdb/node-bindings" },
    { from: join(duckdb, library), as: library },
    ...kernel(),
  ],
});
