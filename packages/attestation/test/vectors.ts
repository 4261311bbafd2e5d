/** Real evidence, which is third-party data and not part of the project: tests skip where it is missing. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const folder =
  process.env["VIVARIUM_VECTORS"] ?? resolve(import.meta.dirname, "../../../../shared/vectors");

export const hasVectors: boolean = existsSync(join(folder, "INDEX.md"));

if (!hasVectors) {
  console.log(
    `Tests on real evidence are skipped: no vectors at ${folder} (set VIVARIUM_VECTORS).`,
  );
}

export function vectorsPath(...parts: readonly string[]): string {
  return join(folder, ...parts);
}
