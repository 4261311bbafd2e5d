/** What the operating system can put around a worker, tried out and not guessed. */
import { execFile } from "node:child_process";
import { type Check, check } from "./check.ts";

interface Means {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly gives: string;
  readonly without: string;
}

const means: readonly Means[] = [
  {
    name: "isolation.prlimit",
    file: "/usr/bin/prlimit",
    args: ["--core=0:0"],
    gives: "no core dumps, limits of files and memory",
    without: "Core dumps and resource limits are those of the shell.",
  },
  {
    name: "isolation.setpriv",
    file: "/usr/bin/setpriv",
    args: ["--no-new-privs", "--pdeathsig", "KILL"],
    gives: "no new privileges, ends with its launcher",
    without: "A busy worker may outlive its launcher for a while.",
  },
];

const namespaces = ["--pid", "--ipc", "--mount-proc", "--fork", "--kill-child=KILL"];

export async function isolationChecks(): Promise<readonly Check[]> {
  const uid = process.getuid?.();
  return [
    ...(await Promise.all(means.map(tryMeans))),
    await namespaceCheck(),
    check(
      "isolation.uid",
      "info",
      uid === undefined ? "no user ids on this platform" : `uid ${uid}`,
      uid === 0
        ? "As root, a worker can be given a user of its own."
        : "Not root: a worker runs as the same user as its launcher.",
    ),
  ];
}

async function tryMeans({ name, file, args, gives, without }: Means): Promise<Check> {
  return (await works(file, args))
    ? check(name, "ok", gives)
    : check(name, "warn", `${file} absent or not permitted`, without);
}

async function namespaceCheck(): Promise<Check> {
  const file = "/usr/bin/unshare";
  const name = "isolation.unshare";
  if (await works(file, namespaces)) {
    return check(name, "ok", "PID, IPC and mount namespaces of its own");
  }
  if (await works(file, ["--user", "--map-current-user", ...namespaces])) {
    return check(name, "ok", "PID, IPC and mount namespaces, through a user namespace");
  }
  return check(
    name,
    "warn",
    `${file} absent or not permitted`,
    "A worker can see the machine's other processes; run as root or allow user namespaces.",
  );
}

function works(file: string, args: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(file, [...args, "--", "/bin/true"], { env: {}, timeout: 10_000 }, (error) => {
      resolve(error === null);
    });
  });
}
