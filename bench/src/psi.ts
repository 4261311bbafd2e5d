/**
 * Intersection by our engines and by @openmined/psi.js, both parties' CPU time together. CPU and not
 * wall time, because other load on the machine moves the latter; and processes of their own, because a
 * party's memory is then the process's.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Benchmark, type Figure, figure, median } from "./benchmark.ts";
import { installPeer } from "./peers.ts";
import type { PartyReport } from "./psi-party.ts";

const peer = { name: "@openmined/psi.js", version: "2.0.6" };
const sizes = [
  { items: 10_000, label: "10k", runs: 3, peerRuns: 1 },
  // psi.js takes minutes here: one run of it, beside the median of ours.
  { items: 100_000, label: "100k", runs: 3, peerRuns: 1 },
];

interface Sample {
  /** Items of both parties per second of CPU time of both. */
  readonly rate: number;
  readonly bytes: number;
  readonly peakBytes: number;
}

export const benchmark: Benchmark = {
  name: "psi",
  async run() {
    const directory = await installPeer(peer);
    const figures: Figure[] = [];
    for (const { items, label, runs, peerRuns } of sizes) {
      const ours: Sample[] = [];
      const theirs: Sample[] = [];
      // Interleaved, so that both meet the same machine.
      for (let run = 0; run < runs; run++) {
        ours.push(await sample("node", items));
        if (directory !== undefined && run < peerRuns) theirs.push(await sample(directory, items));
      }
      figures.push(...figuresOf("node", label, items, ours));
      if (theirs.length > 0) {
        figures.push(...figuresOf("openmined", label, items, theirs));
        const base = median(theirs.map(({ rate }) => rate));
        const ratios = ours.map(({ rate }) => rate / base);
        figures.push(figure(`psi.cpu_ratio_vs_openmined_${label}`, ratios, "ratio"));
      }
    }
    return {
      engine: "node:crypto X25519, hash to curve in TypeScript",
      runs: sizes[0]?.runs ?? 0,
      figures,
      notes: [
        "items per CPU-second: items of both parties over user and system time of both processes, hashing, masking, matching and framing included",
        "half of the items are common; every result is checked against the expected count",
        "one thread per party, plain loop-back sockets; no TLS, attestation or table in either",
        `psi.js with its exact Raw structure, ${sizes.map((size) => `${size.peerRuns} run at ${size.label}`).join(", ")}; ours ${sizes.map((size) => `${size.runs} at ${size.label}`).join(", ")}`,
        ...(directory === undefined ? [`${peer.name} could not be installed: no comparison`] : []),
      ],
      versions: { [peer.name]: peer.version },
    };
  },
};

function figuresOf(
  name: string,
  label: string,
  items: number,
  samples: readonly Sample[],
): Figure[] {
  const of = (what: string, pick: (sample: Sample) => number, unit: string): Figure =>
    figure(`psi.${name}_${what}_${label}`, samples.map(pick), unit);
  return [
    of("cpu_rate", ({ rate }) => rate, "items/CPU-s"),
    of("bytes_per_item", ({ bytes }) => bytes / items, "B/pair"),
    of("peak_memory", ({ peakBytes }) => peakBytes / 1e6, "MB"),
  ];
}

/** One run of both parties. @throws Error for an inexact result: a fast wrong answer is no figure. */
async function sample(engine: string, items: number): Promise<Sample> {
  const sender = party("sender", engine, items);
  const port = (await message(sender, "port")) as number;
  const receiver = party("receiver", engine, items, port);
  const reports = (await Promise.all([
    message(receiver, "report"),
    message(sender, "report"),
  ])) as PartyReport[];
  const matches = reports[0]?.matches;
  if (matches !== items / 2) throw new Error(`${engine} found ${matches} of ${items / 2}.`);
  const sum = (pick: (report: PartyReport) => number): number =>
    reports.reduce((total, report) => total + pick(report), 0);
  return {
    rate: (2 * items) / sum(({ cpuSeconds }) => cpuSeconds),
    bytes: sum(({ bytesSent }) => bytesSent),
    peakBytes: Math.max(...reports.map(({ peakBytes }) => peakBytes)),
  };
}

function party(side: string, engine: string, items: number, port = 0): ChildProcess {
  const file = fileURLToPath(new URL("./psi-party.ts", import.meta.url));
  return fork(file, [side, engine, String(items), String(port)]);
}

function message(from: ChildProcess, key: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    from.on("message", (value: Readonly<Record<string, unknown>>) => {
      if (key in value) resolve(value[key]);
    });
    from.once("exit", (code) => {
      if (code !== 0) reject(new Error(`A party ended with code ${code}.`));
    });
  });
}
