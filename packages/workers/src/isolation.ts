/**
 * What the operating system puts around a trust domain. Each means is tried before it is used, and
 * what is in force is reported as data: a missing one is never passed over in silence. None of it
 * protects from the host; that takes a TEE.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { access, constants } from "node:fs/promises";
import { WorkersError } from "./errors.ts";

/** What is in force around one process. */
export interface WorkerIsolation {
  /** Always: a process of its own, in its own process group. */
  readonly process: true;
  /** Kernel namespaces of its own. With `pid` and `mount` it sees no other process's memory. */
  readonly namespaces: readonly ("pid" | "ipc" | "mount" | "user")[];
  /** The user it runs as, if another than the launcher's; else it could change its own files. */
  readonly uid: number | null;
  /** The kernel ends it when its launcher dies, even if it is busy. */
  readonly parentDeathSignal: boolean;
  /** No `execve` may add privileges. */
  readonly noNewPrivileges: boolean;
  /** `off`: the kernel writes no core dump (hard limit 0). */
  readonly coreDumps: "off" | "inherited";
  /** What was not available, for people. */
  readonly missing: readonly string[];
}

/** A command line and what it puts in force. */
export interface IsolatedCommand {
  readonly file: string;
  readonly args: readonly string[];
  readonly isolation: WorkerIsolation;
}

export interface IsolationOptions {
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Largest number of open files. */
  readonly openFiles?: number | undefined;
  /** Bytes of private memory (`RLIMIT_DATA`): buffers and native memory as well as the heap. */
  readonly dataBytes?: number | undefined;
  /** Refuse to launch if anything is missing. */
  readonly required: boolean;
}

/** Absolute: a search through PATH would let the environment choose what runs before the worker. */
const programs = {
  prlimit: "/usr/bin/prlimit",
  setpriv: "/usr/bin/setpriv",
  unshare: "/usr/bin/unshare",
} as const;

const namespaceArguments = ["--pid", "--ipc", "--mount-proc", "--fork", "--kill-child=KILL"];

/**
 * Builds the command line around `command`.
 * @throws WorkersError `isolation-unavailable` if `required` and something is missing, or if a user
 * was asked for and cannot be set.
 */
export async function isolate(
  command: readonly [string, ...string[]],
  options: IsolationOptions,
): Promise<IsolatedCommand> {
  const missing: string[] = [];
  const chain: string[] = [];

  const limits = ["--core=0:0"];
  if (options.openFiles !== undefined) limits.push(`--nofile=${options.openFiles}`);
  if (options.dataBytes !== undefined) limits.push(`--data=${options.dataBytes}`);
  const limited = await works([programs.prlimit, ...limits]);
  if (limited) chain.push(programs.prlimit, ...limits, "--");
  else missing.push("prlimit: core dumps and resource limits are those of the launcher");

  const death = [programs.setpriv, "--pdeathsig", "KILL"];
  const parentDeathSignal = await works(death);
  if (parentDeathSignal) chain.push(...death, "--");
  else missing.push("setpriv --pdeathsig: a busy process may outlive its launcher for a while");

  const namespaces = await namespaceCommand();
  if (namespaces !== undefined) chain.push(...namespaces.args, "--");
  else missing.push("unshare: no PID, IPC and mount namespaces of its own");

  const drop = [programs.setpriv, ...privilegeArguments(options.user)];
  const noNewPrivileges = await works(drop);
  if (noNewPrivileges) chain.push(...drop, "--");
  else if (options.user !== undefined) {
    throw new WorkersError(
      "isolation-unavailable",
      `Cannot run as uid ${options.user.uid}: that needs root and ${programs.setpriv}.`,
    );
  } else missing.push("setpriv --no-new-privs");

  if (options.required && missing.length > 0) {
    throw new WorkersError(
      "isolation-unavailable",
      `Isolation is required and not available here: ${missing.join("; ")}.`,
    );
  }
  const [file, ...args] = [...chain, ...command];
  return {
    file: file as string,
    args,
    isolation: {
      process: true,
      namespaces: namespaces?.namespaces ?? [],
      uid: options.user?.uid ?? null,
      parentDeathSignal,
      noNewPrivileges,
      coreDumps: limited ? "off" : "inherited",
      missing,
    },
  };
}

function privilegeArguments(user: IsolationOptions["user"]): readonly string[] {
  if (user === undefined) return ["--no-new-privs"];
  return [
    "--no-new-privs",
    `--reuid=${user.uid}`,
    `--regid=${user.gid}`,
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
  ];
}

async function namespaceCommand(): Promise<
  { args: readonly string[]; namespaces: WorkerIsolation["namespaces"] } | undefined
> {
  const plain = [programs.unshare, ...namespaceArguments];
  if (await works(plain)) return { args: plain, namespaces: ["pid", "ipc", "mount"] };
  // Without root a user namespace gives the right to make the others, where the kernel allows it.
  const user = [programs.unshare, "--user", "--map-current-user", ...namespaceArguments];
  if (await works(user)) return { args: user, namespaces: ["pid", "ipc", "mount", "user"] };
  return undefined;
}

const tried = new Map<string, Promise<boolean>>();

/** True if this prefix can run a program here. Tried once per launcher. */
function works(prefix: readonly string[]): Promise<boolean> {
  const key = prefix.join(" ");
  const known = tried.get(key);
  if (known !== undefined) return known;
  const [file, ...args] = prefix;
  const result = access(file as string, constants.X_OK)
    .then(
      () =>
        new Promise<boolean>((resolve) => {
          execFile(
            file as string,
            [...args, "--", "/bin/true"],
            { env: {}, timeout: 10_000 },
            (error) => resolve(error === null),
          );
        }),
    )
    .catch(() => false);
  tried.set(key, result);
  return result;
}

/** Behind `unshare --fork` the trust domain is the child of the process that was started. */
export function innermostPid(pid: number, isolation: WorkerIsolation): number {
  if (!isolation.namespaces.includes("pid")) return pid;
  try {
    const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ");
    return child === undefined || child === "" ? pid : Number(child);
  } catch {
    return pid;
  }
}
