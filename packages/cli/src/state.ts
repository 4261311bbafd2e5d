/**
 * The state directory: long-term identities, the development root, counters. Private to its owner;
 * anything else about it is refused, because whoever can read it can be this party.
 */
import { lstat, readdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { CliError } from "./errors/error.ts";
import { absolute, errno, fileError, makePrivateDirectory, writeNew } from "./files.ts";
import type { Io } from "./io.ts";

/** Tells our directory from any other, so that `state wipe --state ~` cannot happen. */
const marker = "vivarium-state.json";

/** What may stand in a state directory beside the marker; all that `wipe` removes. */
const entries = [
  "identities",
  "development-root.key",
  "counters",
  "checkpoints",
  "collateral",
  "programs",
  "run",
  "audit",
  "audit.key",
  "broker",
  "witness",
  "witness.key",
] as const;

/** Most files that `state show` lists. */
const maxListed = 10_000;

export interface StateFile {
  /** Relative to the state directory. */
  readonly path: string;
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly changedAt: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface State {
  /** Absolute. */
  readonly path: string;
  /** Directory of identity key files, one per name. */
  readonly identities: string;
  /** File of the development root of simulated attestation. */
  readonly developmentRoot: string;
  /** Directory of monotonic counters. */
  readonly counters: string;
  /** Directory of sealed checkpoints. */
  readonly checkpoints: string;
  /** Directory of collateral that was fetched. */
  readonly collateral: string;
  /** Directory of the helper that asks devices, compiled on this machine. */
  readonly programs: string;
  /** Directory of the audit log. */
  readonly audit: string;
  /** Key that signs the audit log's checkpoints. */
  readonly auditKey: string;
  /** Directory of the key broker: its store, its log, its keys. */
  readonly broker: string;
  /** Directory of what a witness has seen of logs. */
  readonly witness: string;
  /** Key that a witness cosigns with. */
  readonly witnessKey: string;
  /** Directory of measured copies of running bundles. */
  readonly run: string;
  /** Names of the identities there are, sorted. */
  identityNames(): Promise<readonly string[]>;
  files(): Promise<readonly StateFile[]>;
  /** Removes everything that this program put here, and the directory. Not overwritten on disk. */
  wipe(): Promise<void>;
}

/** `--state`, else `$XDG_STATE_HOME/vivarium`, else `~/.local/state/vivarium`. */
export function statePath(io: Pick<Io, "env" | "cwd">, option: string | undefined): string {
  if (option !== undefined) return absolute(io.cwd, option);
  const { XDG_STATE_HOME: xdg, HOME: home } = io.env;
  // The XDG specification says that relative paths are to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, "vivarium");
  return join(home !== undefined && isAbsolute(home) ? home : homedir(), ".local/state/vivarium");
}

/**
 * Opens the state directory.
 * @param options.create makes it where absent; otherwise absence is `not-found`.
 * @throws CliError `unsafe-permissions`, `not-a-state`, `not-found` or `inaccessible`.
 */
export async function openState(
  path: string,
  options: { readonly create: boolean },
): Promise<State> {
  if (options.create) await makePrivateDirectory(path, "state directory");
  await requirePrivate(path);
  await requireMarker(path, options.create);
  const identities = join(path, "identities");
  return {
    path,
    identities,
    developmentRoot: join(path, "development-root.key"),
    counters: join(path, "counters"),
    checkpoints: join(path, "checkpoints"),
    collateral: join(path, "collateral"),
    programs: join(path, "programs"),
    audit: join(path, "audit"),
    auditKey: join(path, "audit.key"),
    broker: join(path, "broker"),
    witness: join(path, "witness"),
    witnessKey: join(path, "witness.key"),
    run: join(path, "run"),
    identityNames: () => identityNames(identities),
    files: () => list(path),
    wipe: () => wipe(path),
  };
}

async function requirePrivate(path: string): Promise<void> {
  let status: Awaited<ReturnType<typeof lstat>>;
  try {
    status = await lstat(path);
  } catch (cause) {
    throw fileError(cause, path, "state directory", "read");
  }
  if (!status.isDirectory()) {
    throw new CliError("not-a-state", `${path} is not a directory.`);
  }
  const uid = process.getuid?.();
  if (uid !== undefined && status.uid !== uid) {
    // Its owner could replace the keys at any time, whatever the mode.
    throw new CliError(
      "unsafe-permissions",
      `The state directory ${path} belongs to user ${status.uid}, not to ${uid}.`,
    );
  }
  if ((status.mode & 0o077) !== 0) {
    throw new CliError(
      "unsafe-permissions",
      `The state directory ${path} has mode ${octal(status.mode)}, which lets others in.`,
    );
  }
}

async function requireMarker(path: string, create: boolean): Promise<void> {
  let names: readonly string[];
  try {
    names = await readdir(path);
  } catch (cause) {
    throw fileError(cause, path, "state directory", "read");
  }
  if (names.includes(marker)) return;
  if (names.length > 0 || !create) {
    throw new CliError("not-a-state", `${path} has no ${marker} and is not a state directory.`);
  }
  const content = `${JSON.stringify({ version: 1, for: "vivarium" })}\n`;
  try {
    await writeNew(join(path, marker), "state marker", content, 0o600);
  } catch (error) {
    // Two commands at once: the other one made it.
    if (!(error instanceof CliError && error.code === "exists")) throw error;
  }
}

async function identityNames(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory);
    return names
      .filter((name) => name.endsWith(".key"))
      .map((name) => name.slice(0, -".key".length))
      .sort();
  } catch (cause) {
    if (errno(cause) === "ENOENT") return [];
    throw fileError(cause, directory, "identity directory", "read");
  }
}

async function list(root: string): Promise<readonly StateFile[]> {
  const found: StateFile[] = [];
  const visit = async (relative: string): Promise<void> => {
    for (const entry of await readdir(join(root, relative), { withFileTypes: true })) {
      if (found.length >= maxListed) return;
      const path = join(relative, entry.name);
      if (entry.isDirectory()) {
        await visit(path);
      } else {
        const { size, mtimeMs, mode } = await lstat(join(root, path));
        found.push({ path, bytes: size, changedAt: Math.round(mtimeMs), mode: mode & 0o777 });
      }
    }
  };
  await visit("");
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function wipe(path: string): Promise<void> {
  const strangers = (await readdir(path)).filter(
    (name) => name !== marker && !(entries as readonly string[]).includes(name),
  );
  if (strangers.length > 0) {
    // Somebody's files: better to leave the keys than to delete what is not ours.
    throw new CliError(
      "not-a-state",
      `${path} also holds ${strangers.slice(0, 3).join(", ")}, which this program did not make; move it away first.`,
    );
  }
  for (const entry of entries) await rm(join(path, entry), { recursive: true, force: true });
  // Last, so that a wipe that was cut short can be run again.
  await rm(join(path, marker), { force: true });
  await rm(path, { recursive: true, force: true });
}

/** Permission bits as people write them: `0755`. */
export function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, "0");
}
