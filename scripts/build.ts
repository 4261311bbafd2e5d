/**
 * The whole build: every package by project references, the native kernel, then the measured bundle of each package
 * that has trust domains. Both steps are incremental or fast enough to run before every test.
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync } from "./files.ts";

function run(title: string, command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) throw new Error(`${title} did not start`, { cause: error });
  if (status !== 0) process.exit(status ?? 1);
}

run("The compiler", "node_modules/.bin/tsc", ["-b"]);
run("The native kernel", "node_modules/.bin/tsx", ["scripts/build-native.ts"]);
for (const build of globSync("packages", /^[^/]+\/src\/worker\/build\.ts$/)) {
  const compiled = `packages/${build.replace("/src/", "/dist/").replace(/\.ts$/, ".js")}`;
  if (existsSync(compiled)) run(`The bundle of ${build}`, process.execPath, [compiled]);
}
