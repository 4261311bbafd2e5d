/** What the scripts share: finding and reading files of the repository, and reporting problems. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export { existsSync };

/** Folders that hold nothing of ours. */
const ignored = new Set([
  "node_modules",
  "dist",
  ".git",
  ".turbo",
  ".cache",
  ".peers",
  ".vivarium",
  "coverage",
]);

/** Paths under `root` (relative to it, `/` between parts) that match, sorted. */
export function globSync(root: string, pattern: RegExp): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!ignored.has(entry.name)) walk(path);
      } else {
        const name = relative(root, path);
        if (pattern.test(name)) found.push(name);
      }
    }
  };
  if (existsSync(root)) walk(root);
  return found.sort();
}

export function readText(path: string): string {
  return readFileSync(path, "utf8");
}

/** The caller checks what it reads from the value; these are files of this repository. */
export function readJson<T>(path: string): T {
  return JSON.parse(readText(path)) as T;
}

/** Prints every problem and sets the exit code, so that one run shows all there is to mend. */
export function report(check: string, problems: readonly string[], fine: string): void {
  for (const problem of problems) console.error(`${check}: ${problem}`);
  if (problems.length > 0) {
    console.error(`${check}: ${problems.length} problem(s)`);
    process.exitCode = 1;
  } else {
    console.log(`${check}: ${fine}`);
  }
}
