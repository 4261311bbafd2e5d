/**
 * Other people's software that a benchmark compares with. It is no dependency of ours: it is
 * installed when asked for, outside the lock file, and never runs code at install time.
 */
import { spawn } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../.peers/", import.meta.url));
const installTimeoutMs = 120_000;

export interface Peer {
  readonly name: string;
  readonly version: string;
}

/**
 * Makes sure that a peer is installed.
 * @returns its directory, to import from; or `undefined` if it cannot be had (no network), after
 * one clear line on the error stream. The benchmark then notes that it compared with nothing.
 */
export async function installPeer({ name, version }: Peer): Promise<string | undefined> {
  const prefix = join(folder, `${name.replace(/[@/]/g, "_")}-${version}`);
  const directory = join(prefix, "node_modules", name);
  if ((await installedVersion(directory)) === version) return directory;
  await mkdir(prefix, { recursive: true });
  console.error(`Installing ${name} ${version} to compare with ...`);
  const problem = await npmInstall(prefix, `${name}@${version}`);
  if (problem === undefined && (await installedVersion(directory)) === version) return directory;
  console.error(`SKIPPED: ${name} ${version} cannot be installed: ${problem ?? "it is not there"}`);
  return undefined;
}

async function installedVersion(directory: string): Promise<string | undefined> {
  try {
    const text = await readFile(join(directory, "package.json"), "utf8");
    return (JSON.parse(text) as { readonly version?: string }).version;
  } catch {
    return undefined;
  }
}

function npmInstall(prefix: string, what: string): Promise<string | undefined> {
  // A prefix of its own: in the workspace npm would hoist into our node_modules.
  const args = [
    "install",
    "--prefix",
    prefix,
    "--no-save",
    "--ignore-scripts",
    "--no-package-lock",
  ];
  return new Promise((resolve) => {
    const child = spawn("npm", [...args, "--loglevel=error", what], {
      cwd: prefix,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: installTimeoutMs,
    });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      errors = (errors + chunk).slice(-2000);
    });
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code, signal) => {
      if (code === 0) resolve(undefined);
      else
        resolve(
          errors.split("\n").find((line) => line.includes("error")) ?? String(signal ?? code),
        );
    });
  });
}
