/**
 * File to file: two launched, mutually attested trust domains on this machine, from CSV to CSV. Everything
 * counts, from the launch of the first process to the end of the last.
 */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { fingerprint, type Policy } from "@vivarium/attestation";
import { type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { launchPsi, type PsiRole, type PsiWorker, type PsiWorkerSummary } from "@vivarium/psi";

const crypto = nodeCrypto();

export interface FileRun {
  readonly wallSeconds: number;
  /** User and system time of both parties' processes, to a tenth of a second. */
  readonly cpuSeconds: number;
  readonly receiver: PsiWorkerSummary;
  readonly sender: PsiWorkerSummary;
  /** Peak resident memory of the worse party, all its processes, in bytes. */
  readonly peakBytes: number;
}

export interface FileWorld {
  run(protocol: "ecdh" | "attested"): Promise<FileRun>;
  close(): Promise<void>;
}

/** Two tables of `items` rows each, half of them in common. Synthetic: numbered addresses. */
export async function fileWorld(items: number): Promise<FileWorld> {
  const directory = await mkdtemp(join(tmpdir(), "vivarium-bench-"));
  const fresh = (): Promise<Signer> => crypto.generateSigner("ES256");
  const keys = { root: await fresh(), receiver: await fresh(), sender: await fresh() };
  await writeTable(join(directory, "receiver.csv"), 0, items);
  await writeTable(join(directory, "sender.csv"), items / 2, items);
  const measurements = await measure(directory, keys);
  return {
    run: (protocol) => run(directory, keys, measurements, protocol, items),
    close: () => rm(directory, { recursive: true, force: true }),
  };
}

async function writeTable(path: string, first: number, items: number): Promise<void> {
  const out = createWriteStream(path);
  out.write("email,amount\n");
  const step = 10_000;
  for (let from = 0; from < items; from += step) {
    let text = "";
    for (let i = first + from; i < first + Math.min(items, from + step); i++) {
      // A fixed permutation: tables are not in the order of their keys.
      const id = (i * 7_919) % (4 * items);
      text += `user-${id.toString(36)}@example.org,${i % 1000}\n`;
    }
    if (!out.write(text)) await once(out, "drain");
  }
  out.end();
  await finished(out);
}

type Keys = Readonly<Record<"root" | PsiRole, Signer>>;
type Measurements = Readonly<Record<"code" | "runtime", readonly string[]>>;

async function policyFor(keys: Keys, peer: PsiRole, measurements: Measurements): Promise<Policy> {
  return {
    version: 1,
    name: "bench",
    roles: {
      [peer]: {
        identities: [await fingerprint(crypto, keys[peer].publicKey)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, keys.root.publicKey),
            measurements,
            minimumSvn: { svn: 1 },
            tcb: ["UpToDate"],
            allow: ["psi.attested"],
            debug: false,
            maxAgeSeconds: 3600,
          },
        ],
      },
    },
  };
}

async function launch(
  directory: string,
  keys: Keys,
  measurements: Measurements,
  role: PsiRole,
  protocol: "ecdh" | "attested",
  network: { listen: number } | { connect: number },
  onPort: (port: number) => void = () => undefined,
): Promise<PsiWorker> {
  const at = (port: number) => ({ host: "127.0.0.1", port });
  return await launchPsi({
    role,
    policy: await policyFor(keys, role === "receiver" ? "sender" : "receiver", measurements),
    identity: keys[role],
    attestation: { kind: "simulated", root: keys.root },
    config: {
      ...("listen" in network ? { listen: at(network.listen) } : { connect: at(network.connect) }),
      input: {
        path: join(directory, `${role}.csv`),
        keys: [{ column: "email", normalise: [] }],
      },
      ...(role === "receiver" ? { output: { path: join(directory, "out.csv") } } : {}),
      protocol,
      mode: "intersection",
      resultTo: "receiver",
      maxItems: 10_000_000,
      timeoutMs: 600_000,
    },
    onEvent: (event) => {
      if (event.type === "waiting" && event.how === "listen") {
        onPort(Number(event.address.split(":").at(-1)));
      }
    },
  });
}

/** Measurements are what an operator would read off: from a launch. */
async function measure(directory: string, keys: Keys): Promise<Measurements> {
  const none = { code: ["00".repeat(32)], runtime: ["00".repeat(32)] };
  await using probe = await launch(directory, keys, none, "receiver", "ecdh", { connect: 1 });
  probe.result.catch(() => undefined);
  const { code, runtime } = probe.worker.statement;
  return { code: [toHex(code)], runtime: [toHex(runtime)] };
}

async function run(
  directory: string,
  keys: Keys,
  measurements: Measurements,
  protocol: "ecdh" | "attested",
  items: number,
): Promise<FileRun> {
  await rm(join(directory, "out.csv"), { force: true });
  const begin = performance.now();
  let onPort: (port: number) => void = () => undefined;
  const port = new Promise<number>((resolve) => {
    onPort = resolve;
  });
  const start = (role: PsiRole, network: { listen: number } | { connect: number }) =>
    launch(directory, keys, measurements, role, protocol, network, onPort);
  await using receiver = await start("receiver", { listen: 0 });
  receiver.result.catch(() => undefined);
  await using sender = await start("sender", { connect: await port });
  const seen = new Map<number, Usage>();
  const watch = setInterval(() => {
    for (const { pid } of [receiver.worker, sender.worker]) void note(seen, pid);
  }, 50);
  try {
    const [r, s] = await Promise.all([receiver.result, sender.result]);
    const wallSeconds = (performance.now() - begin) / 1000;
    if (r.matches !== items / 2 || r.rowsWritten !== items / 2) {
      throw new Error(`${protocol} found ${r.matches} of ${items / 2}.`);
    }
    const usage = [...seen.values()];
    return {
      wallSeconds,
      cpuSeconds: usage.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
      peakBytes: Math.max(...usage.map(({ peakBytes }) => peakBytes)),
      receiver: r,
      sender: s,
    };
  } finally {
    clearInterval(watch);
  }
}

interface Usage {
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

/** Clock ticks of /proc: 100 a second on every Linux that Node.js runs on. */
const ticksPerSecond = 100;

/** CPU time and the high-water mark of a process's memory, so far. */
async function note(seen: Map<number, Usage>, pid: number): Promise<void> {
  try {
    const status = await readFile(`/proc/${pid}/status`, "utf8");
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name, in brackets, may have spaces.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    seen.set(pid, {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
      peakBytes: 1024 * Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0),
    });
  } catch {
    // It has ended, or there is no /proc.
  }
}
