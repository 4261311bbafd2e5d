/** Real evidence is third-party data and not in this repository: VIVARIUM_VECTORS names the folder of it. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const folder =
  process.env["VIVARIUM_VECTORS"] ?? resolve(import.meta.dirname, "../../../../shared/vectors");

/** Bytes of a file. Ends the example where there is none. */
export function vector(path: string): Uint8Array {
  const file = join(folder, path);
  if (existsSync(file)) return new Uint8Array(readFileSync(file));
  console.log(`skipped: there is no ${file}; set VIVARIUM_VECTORS.`);
  process.exit(0);
}

/** An example that does not come out as it says is wrong. */
export function expect(what: string, actual: unknown, expected: unknown): void {
  if (actual === expected) return;
  throw new Error(`${what} is ${String(actual)}, not ${String(expected)}.`);
}
