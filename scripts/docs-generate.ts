/**
 * Runs every generator of files that are committed: each package's `scripts/generate*.ts` and
 * `scripts/write*.ts`, then the benchmark tables and the example of the READMEs. With `--check` it
 * fails if that changed anything, and leaves the changed files.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { existsSync, globSync, report } from "./files.ts";

function git(...args: string[]): string[] {
  const { status, stdout } = spawnSync("git", args, { encoding: "utf8", maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`git ${args.join(" ")} failed`);
  return stdout.split("\0").filter((line) => line !== "");
}

/** Path → digest of every file that is not ignored. */
function snapshot(): Map<string, string> {
  const files = git("ls-files", "-z", "--cached", "--others", "--exclude-standard");
  return new Map(
    files
      .filter((file) => existsSync(file))
      .map((file) => [file, createHash("sha256").update(readFileSync(file)).digest("hex")]),
  );
}

const check = process.argv.includes("--check");
const before = check ? snapshot() : new Map<string, string>();
const generators = [
  ...globSync("packages", /^[^/]+\/scripts\/(generate|write)[\w-]*\.ts$/).map(
    (name) => `packages/${name}`,
  ),
  "scripts/benchmark-table.ts",
  "scripts/readme-example.ts",
];
for (const generator of generators) {
  const { status } = spawnSync("node_modules/.bin/tsx", [generator], { stdio: "inherit" });
  if (status !== 0) {
    console.error(`generated: ${generator} failed`);
    process.exit(1);
  }
}
// Generators write plain JSON; committed files have the formatter's form.
const schemas = globSync("packages", /^[^/]+\/schema\/.*\.json$/).map((name) => `packages/${name}`);
spawnSync("node_modules/.bin/biome", ["format", "--write", ...schemas], { stdio: "ignore" });
if (check) {
  const after = snapshot();
  const paths = new Set([...before.keys(), ...after.keys()]);
  const changed = [...paths].filter((path) => before.get(path) !== after.get(path));
  report(
    "generated",
    changed.map((path) => `${path} was not in step: npm run docs:generate, then commit it`),
    `${generators.length} generators change nothing`,
  );
}
