/**
 * Two clean builds of the measured bundles, in folders of different names and under different
 * locales and time zones, must give the same bytes: else nobody could check a published digest.
 *
 *     tsx scripts/check-bundles.ts DIR
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { existsSync, globSync, report } from "./files.ts";

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv): void {
  const { status } = spawnSync(command, args, {
    cwd,
    env,
    stdio: ["ignore", "inherit", "inherit"],
  });
  if (status !== 0) {
    console.error(`bundles: ${command} ${args.join(" ")} failed in ${cwd}`);
    process.exit(1);
  }
}

/** Copies what git would, and the installed dependencies, without anything that was built. */
function cleanCopy(to: string): void {
  const listed = spawnSync(
    "git",
    ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    {
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    },
  );
  for (const file of listed.stdout.split("\0")) {
    if (file === "" || !existsSync(file)) continue;
    mkdirSync(join(to, dirname(file)), { recursive: true });
    cpSync(file, join(to, file));
  }
  const installed = ["node_modules"];
  for (const name of readdirSync("packages")) {
    const nested = `packages/${name}/node_modules`;
    if (existsSync(nested)) installed.push(nested);
  }
  for (const folder of installed) {
    // The links to our own packages are relative, so they lead into the copy.
    cpSync(folder, join(to, folder), { recursive: true, verbatimSymlinks: true });
  }
}

/** Path of each file of each bundle → its digest. */
function digestsOf(checkout: string): Map<string, string> {
  const digests = new Map<string, string>();
  for (const name of readdirSync(join(checkout, "packages"))) {
    const dist = join(checkout, "packages", name, "dist");
    for (const manifest of globSync(dist, /(^|\/)manifest\.json$/)) {
      const bundle = join(dist, dirname(manifest));
      for (const file of globSync(bundle, /./)) {
        const digest = createHash("sha256").update(readFileSync(join(bundle, file)));
        digests.set(`${name}/${dirname(manifest)}/${file}`, digest.digest("hex"));
      }
    }
  }
  return digests;
}

const target = process.argv[2];
if (target === undefined) {
  console.error("usage: tsx scripts/check-bundles.ts <empty folder>");
  process.exit(2);
}
const builds = [
  { folder: "first", env: { TZ: "UTC", LC_ALL: "C" } },
  { folder: "second/with-a-longer-name", env: { TZ: "Asia/Shanghai", LC_ALL: "C.UTF-8" } },
].map(({ folder, env }) => {
  const checkout = resolve(target, folder);
  rmSync(checkout, { recursive: true, force: true });
  cleanCopy(checkout);
  run("node_modules/.bin/tsx", ["scripts/build.ts"], checkout, { ...process.env, ...env });
  const digests = digestsOf(checkout);
  rmSync(checkout, { recursive: true, force: true });
  return digests;
});

const [first = new Map<string, string>(), second = new Map<string, string>()] = builds;
const problems = [...new Set([...first.keys(), ...second.keys()])]
  .filter((path) => first.get(path) !== second.get(path))
  .map((path) => `${path}: ${first.get(path) ?? "absent"} and ${second.get(path) ?? "absent"}`);
if (first.size === 0) problems.push("no bundle was built");
for (const [path, digest] of first) console.log(`${digest}  ${path}`);
report("bundles", problems, `${first.size} files, the same from both builds`);
