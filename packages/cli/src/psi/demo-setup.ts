/** What the demo's parties bring: lists, identities, policies, configurations, and a forgery. */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { psiBundle } from "@vivarium/psi";
import { decodeManifest, encodeManifest } from "@vivarium/workers";
import { CliError } from "../errors/error.ts";
import type { Io } from "../io.ts";

/** A list of domains from a package of the npm registry. */
export interface DemoList {
  /** Package and version. */
  readonly source: string;
  readonly domains: readonly string[];
}

/** @throws CliError `bad-installation`. */
export async function loadLists(): Promise<{ readonly alice: DemoList; readonly bob: DemoList }> {
  const require = createRequire(import.meta.url);
  const read = async (name: string, file: string): Promise<[string, string]> => {
    try {
      // The package file is found by its folder: not every package exports its package.json.
      const folder = dirname(require.resolve(name));
      const about = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
      return [`${name} ${about.version}`, await readFile(join(folder, file), "utf8")];
    } catch (cause) {
      throw new CliError("bad-installation", `The demo's list ${name} is not installed.`, {
        cause,
      });
    }
  };
  const [aliceSource, disposable] = await read("disposable-email-domains", "index.json");
  const [bobSource, burner] = await read("burner-email-providers", "emails.txt");
  return {
    alice: { source: aliceSource, domains: JSON.parse(disposable) as string[] },
    bob: { source: bobSource, domains: burner.split(/\r?\n/).filter((line) => line !== "") },
  };
}

/** How many of a are in b, without any protocol: what the demo's answer is held against. */
export function plainJoin(a: readonly string[], b: readonly string[]): number {
  const set = new Set(b.map((domain) => domain.trim().toLowerCase()));
  return new Set(a.map((domain) => domain.trim().toLowerCase()).filter((d) => set.has(d))).size;
}

type RunCommand = (args: readonly string[], io: Io) => Promise<number>;

/** Identities, party files and policies, made by the very commands that users type. */
export async function introduce(directory: string, io: Io, run: RunCommand): Promise<void> {
  const quiet: Io = {
    ...io,
    stdout: { ...io.stdout, write: () => undefined, isTty: false, columns: 80 },
  };
  const must = async (...args: string[]): Promise<void> => {
    const exit = await run(args, quiet);
    if (exit !== 0)
      throw new CliError("internal", `The demo's step "${args[0]} ${args[1]}" failed.`);
  };
  const at = (...parts: string[]): string => join(directory, ...parts);
  for (const name of ["alice", "bob"]) {
    await must("identity", "create", name, "--state", at(name));
    await must(
      "identity",
      "export",
      name,
      "--state",
      at(name),
      "--output",
      at(`${name}.party.json`),
    );
  }
  await must(
    "policy",
    "init",
    "--peer",
    at("bob.party.json"),
    "--role",
    "sender",
    "--output",
    at("alice.policy.yaml"),
  );
  await must(
    "policy",
    "init",
    "--peer",
    at("alice.party.json"),
    "--role",
    "receiver",
    "--output",
    at("bob.policy.yaml"),
  );
}

export async function writeList(path: string, { domains }: DemoList): Promise<void> {
  await writeFile(path, `domain\n${domains.join("\n")}\n`);
}

/** A configuration file as a user would write it. */
export function configOf(options: {
  readonly name: string;
  readonly list: string;
  readonly policy: string;
  readonly listen?: string;
  readonly connect?: string;
}): string {
  const isAlice = options.listen !== undefined;
  return [
    "version: 1",
    "workload: psi",
    `role: ${isAlice ? "receiver" : "sender"}`,
    `policy: ${options.policy}`,
    isAlice ? `listen: ${options.listen}` : `connect: ${options.connect}`,
    "evidence: simulated",
    "input:",
    `  path: ${options.list}`,
    "  keys:",
    "    - columns: [domain]",
    "      normalise: [trim, lower]",
    ...(isAlice ? ["output:", "  path: common.csv", "  format: csv"] : []),
    "mode: intersection",
    "resultTo: receiver",
    `receipt: ${options.name}.receipt`,
    "timeoutSeconds: 120",
    "",
  ].join("\n");
}

/** Where a byte was changed. */
export interface Forgery {
  readonly bundle: string;
  readonly file: string;
  readonly offset: number;
  readonly before: number;
  readonly after: number;
}

/**
 * A worker with one byte changed, and a manifest that says so truthfully: it launches and attests
 * without a fault on its own machine. Only the measurement differs.
 */
export async function forgeBundle(directory: string): Promise<Forgery> {
  const original = psiBundle();
  await mkdir(directory);
  for (const name of await readdir(original)) {
    await copyFile(join(original, name), join(directory, name));
  }
  const manifest = decodeManifest(new Uint8Array(await readFile(join(directory, "manifest.json"))));
  const path = join(directory, manifest.main);
  const bytes = await readFile(path);
  // In the text of a message: the program stays a program.
  const offset = bytes.indexOf("No acceptable peer within");
  if (offset < 0) throw new CliError("internal", "The demo does not know this bundle.");
  const before = bytes[offset] as number;
  const after = before ^ 0x20;
  bytes[offset] = after;
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const files = manifest.files.map((file) =>
    file.path === manifest.main ? { ...file, sha256 } : file,
  );
  await writeFile(join(directory, "manifest.json"), encodeManifest({ ...manifest, files }));
  return { bundle: directory, file: manifest.main, offset, before, after };
}
