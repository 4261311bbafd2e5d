/**
 * Intersection by our engines and by @openmined/psi.js, both parties' CPU time together. CPU and not
 * wall time, because other load on the machine moves the latter; and processes of their own, because a
 * party's memory is then the process's. File to file, wall time counts, and says so.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { selectEngine } from "@vivarium/curve25519";
import { type Benchmark, type Figure, figure, median } from "./benchmark.ts";
import { opensslRate } from "./openssl.ts";
import { installPeer } from "./peers.ts";
import { type FileRun, fileWorld } from "./psi-files.ts";
import type { PartyReport } from "./psi-party.ts";

const peer = { name: "@openmined/psi.js", version: "2.0.6" };
const runs = 3;
/** psi.js takes minutes at 100k: one run of it, beside the median of ours. */
const compared = [
  { items: 10_000, label: "10k" },
  { items: 100_000, label: "100k" },
];
const large = { items: 1_000_000, label: "1m" };

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
    const engine = selectEngine().engine.name;
    const figures: Figure[] = [];
    for (const { items, label } of compared) {
      const ours = await samples(engine, items);
      figures.push(...figuresOf("ecdh", label, items, ours));
      if (directory === undefined) continue;
      const theirs = [await sample(directory, items)];
      figures.push(...figuresOf("openmined", label, items, theirs));
      const base = median(theirs.map(({ rate }) => rate));
      const ratios = ours.map(({ rate }) => rate / base);
      figures.push(figure(`psi.cpu_ratio_vs_openmined_${label}`, ratios, "ratio"));
    }
    figures.push(...(await inMemory(engine)));
    figures.push(...(await fileToFile()));
    return {
      engine: `${engine}, one thread per party in memory, a pool of them from file to file`,
      runs,
      figures,
      notes: [
        "items per CPU-second: items of both parties over user and system time of both processes; hashing, masking, matching and framing included",
        "half of the items are common; every result is checked against the expected count",
        "in memory: plain loop-back sockets; no TLS, attestation or table in either",
        "file to file: CSV to CSV, 1,000,000 x 1,000,000 synthetic addresses, both parties launched, attested (simulated evidence) and run on this one machine over TLS; wall time from the first launch to the end, on a machine that may have been busy with other work, so CPU time stands beside it",
        "psi.js with its exact Raw structure, one run of each size",
        "RR22 by oblivious transfer is published at 2.84 million items per core-second on another machine (volepsi, 2^20, i7-9750H): quoted, not measured here; it needs no TEE, attested does",
        ...(directory === undefined ? [`${peer.name} could not be installed: no comparison`] : []),
      ],
      versions: { [peer.name]: peer.version },
    };
  },
};

/** A million items a party, beside OpenSSL's X25519 in the same run. */
async function inMemory(engine: string): Promise<Figure[]> {
  const { items, label } = large;
  const figures: Figure[] = [];
  const openssl: number[] = [];
  const of = new Map<string, Sample[]>([
    ["ecdh", []],
    ["attested", []],
  ]);
  for (let run = 0; run < runs; run++) {
    openssl.push(opensslRate() ?? 0);
    of.get("ecdh")?.push(await sample(engine, items));
    of.get("attested")?.push(await sample("attested", items));
  }
  for (const [name, prefix] of [
    ["ecdh", "psi."],
    ["attested", "psi.attested_"],
  ] as const) {
    const ours = of.get(name) ?? [];
    const rates = ours.map(({ rate }) => rate);
    figures.push(figure(`${prefix}items_per_cpu_s`, rates, "items/CPU-s"));
    if (openssl.every((rate) => rate > 0)) {
      const ratios = rates.map((rate, i) => rate / (openssl[i] as number));
      figures.push(figure(`${prefix}items_ratio_vs_openssl`, ratios, "ratio"));
    }
    figures.push(...figuresOf(name, label, items, ours).slice(1));
  }
  return figures;
}

async function fileToFile(): Promise<Figure[]> {
  const { items, label } = large;
  const world = await fileWorld(items);
  const figures: Figure[] = [];
  try {
    for (const protocol of ["ecdh", "attested"] as const) {
      const ours: FileRun[] = [];
      for (let run = 0; run < runs; run++) ours.push(await world.run(protocol));
      const name = protocol === "ecdh" ? "psi.e2e" : "psi.attested_e2e";
      const of = (what: string, pick: (run: FileRun) => number, unit: string): Figure =>
        figure(`${name}_${label}${what}`, ours.map(pick), unit);
      figures.push(
        of("_s", ({ wallSeconds }) => wallSeconds, "s"),
        of("_cpu_s", ({ cpuSeconds }) => cpuSeconds, "CPU-s"),
        of("_peak_memory", ({ peakBytes }) => peakBytes / 1e6, "MB"),
      );
    }
  } finally {
    await world.close();
  }
  return figures;
}

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

async function samples(engine: string, items: number): Promise<readonly Sample[]> {
  const all: Sample[] = [];
  for (let run = 0; run < runs; run++) all.push(await sample(engine, items));
  return all;
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
