/**
 * What `npm ci` brings in, read from the lock file: every tarball has an integrity hash, comes from
 * a registry, and only packages of the list below may run code at install time.
 */
import { readJson, report } from "./files.ts";

interface Entry {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
}

/** Package → why its install script is accepted. None of them fetches anything. */
const mayRunAtInstall: Readonly<Record<string, string>> = {
  esbuild: "replaces its launcher script by the platform's binary, for speed; works without",
  fsevents: "macOS only, optional, development only (file watching of the test runner)",
  "msgpackr-extract": "looks for its prebuilt addon; msgpackr works without it",
};

/** Above this a reviewer should ask what the new ones are for. */
const maxRuntimePackages = 120;

const lock = readJson<{ readonly packages: Readonly<Record<string, Entry>> }>("package-lock.json");
const problems: string[] = [];
let runtime = 0;
let all = 0;

for (const [path, entry] of Object.entries(lock.packages)) {
  const at = path.lastIndexOf("node_modules/");
  if (at === -1 || entry.link === true) continue;
  const name = path.slice(at + "node_modules/".length);
  all++;
  if (entry.dev !== true && entry.optional !== true) runtime++;
  if (entry.integrity === undefined) problems.push(`${name} has no integrity hash`);
  if (entry.resolved !== undefined && !entry.resolved.startsWith("https://")) {
    problems.push(`${name} comes from ${entry.resolved}`);
  }
  if (entry.hasInstallScript === true && !(name in mayRunAtInstall)) {
    problems.push(`${name} runs a script at install; review it, then list it with the reason`);
  }
}
if (runtime > maxRuntimePackages) {
  problems.push(`${runtime} packages at run time, more than ${maxRuntimePackages}`);
}

report("dependencies", problems, `${runtime} at run time, ${all} in all, each with its hash`);
