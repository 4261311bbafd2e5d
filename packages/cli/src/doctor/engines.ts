/** Engines: which is used, why, and whether all of them agree on known answers. */

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { equalBytes, fromHex, utf8 } from "@vivarium/core";
import { Curve25519Error, selectEngine, surveyEngines } from "@vivarium/curve25519";
import { type Check, check } from "./check.ts";
import { tensorflowCheck } from "./tensorflow.ts";

export async function engineChecks(): Promise<readonly Check[]> {
  return [curveCheck(), vectorCheck(), await duckdbCheck(), await tensorflowCheck()];
}

function curveCheck(): Check {
  try {
    const { engine, reason } = selectEngine();
    const native = engine.name !== "node" && engine.name !== "noble";
    const less =
      "Intersections are slower. With a C compiler, `npm run build` makes the native kernel.";
    return check("engine.curve25519", native ? "ok" : "warn", reason, native ? "" : less);
  } catch (error) {
    if (!(error instanceof Curve25519Error)) throw error;
    return check("engine.curve25519", "fail", "none", error.message);
  }
}

/** RFC 9380 appendix J.4.2, curve25519_XMD:SHA-512_ELL2_NU_, message "abc": Q.x, for our points keep their cofactor. */
const hashVector = {
  message: "abc",
  tag: "QUUX-V01-CS02-with-curve25519_XMD:SHA-512_ELL2_NU_",
  u: "7d56d1e08cb0ccb92baf069c18c49bb5a0dcd927eff8dcf75ca921ef7f3e6eeb",
} as const;

/** The engines agree with the RFC and so with each other. */
function vectorCheck(): Check {
  const message = utf8(hashVector.message);
  const offsets = Uint32Array.of(0, message.length);
  // The RFC prints integers; points here are little-endian.
  const expected = fromHex(hashVector.u).reverse();
  const wrong = surveyEngines()
    .flatMap(({ engine, problem }) => (problem === undefined ? [engine] : []))
    .filter((engine) => {
      const actual = engine.hashToCurve(message, offsets, utf8(hashVector.tag));
      return !equalBytes(actual, expected);
    })
    .map(({ name }) => name);
  return wrong.length === 0
    ? check("vectors", "ok", "RFC 9380 J.4.2 and RFC 7748 5.2 give the published answers")
    : check("vectors", "fail", `wrong answers of ${wrong.join(", ")}`, "Do not use this machine.");
}

/** DuckDB has no version without opening a database; its package says which one is installed. */
async function duckdbCheck(): Promise<Check> {
  try {
    const tables = createRequire(fileURLToPath(import.meta.resolve("@vivarium/tables")));
    const main = tables.resolve("@duckdb/node-api");
    const version = await packageVersion(dirname(main));
    // Loads the native library, which is what fails on machines without a binary.
    await import("@vivarium/tables");
    return check("engine.duckdb", "ok", version, "Extensions off, spilling off, memory bounded.");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    return check(
      "engine.duckdb",
      "fail",
      `cannot be loaded (${code})`,
      "Tables cannot be read: install again with `npm ci` on a platform that DuckDB supports.",
    );
  }
}

async function packageVersion(from: string): Promise<string> {
  for (let directory = from; directory !== dirname(directory); directory = dirname(directory)) {
    try {
      const text = await readFile(join(directory, "package.json"), "utf8");
      const { name, version } = JSON.parse(text) as { name?: string; version?: string };
      if (name === "@duckdb/node-api" && version !== undefined) return version;
    } catch {
      // No package.json here: look further up.
    }
  }
  return "of unknown version";
}
