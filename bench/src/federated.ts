/**
 * Aggregation in memory beside plain JavaScript, the coordinate median beside a sort of each coordinate, and
 * simulated participants a second. All on one thread.
 */
import {
  coordinateMedian,
  exactSum,
  type FederatedPlan,
  type FitUpdate,
  trainerOf,
} from "@vivarium/federated";
import { type Benchmark, figure } from "./benchmark.ts";

const runs = 5;
const parameters = 10_000_000;
const pieceFloats = 16 * 1024;
const medianUpdates = 50;
const medianParameters = 200_000;
const participants = 200;
const features = 51_000;

/** 40 MB of updates from pieces of 64 KiB into one sum: seconds. */
function sumOurs(update: Float32Array): number {
  const sum = exactSum(parameters);
  const begin = performance.now();
  sum.beginUpdate(3);
  for (let at = 0; at < parameters; at += pieceFloats) {
    sum.add(update.subarray(at, at + pieceFloats), 3, at);
  }
  return (performance.now() - begin) / 1000;
}

/** The same pieces, as one would write it: no bound, no grid, no order-independence. */
function sumPlain(update: Float32Array): number {
  const sum = new Float64Array(parameters);
  const begin = performance.now();
  for (let at = 0; at < parameters; at += pieceFloats) {
    const piece = update.subarray(at, at + pieceFloats);
    for (let i = 0; i < piece.length; i++) {
      sum[at + i] = (sum[at + i] as number) + 3 * (piece[i] as number);
    }
  }
  return (performance.now() - begin) / 1000;
}

function medianOurs(updates: readonly FitUpdate[]): number {
  const strategy = coordinateMedian();
  const begin = performance.now();
  strategy.aggregate({ parameters: new Float32Array(medianParameters), state: {}, updates });
  return (performance.now() - begin) / 1000;
}

/** A typed array sorted for each coordinate. */
function medianPlain(updates: readonly FitUpdate[]): number {
  const begin = performance.now();
  const out = new Float32Array(medianParameters);
  const values = new Float32Array(updates.length);
  for (let i = 0; i < medianParameters; i++) {
    for (let u = 0; u < updates.length; u++) values[u] = updates[u]?.delta[i] as number;
    values.sort();
    out[i] = ((values[24] as number) + (values[25] as number)) / 2;
  }
  return (performance.now() - begin) / 1000;
}

const plan: FederatedPlan = {
  name: "bench",
  model: { kind: "linear", classes: 2, features, input: "text" },
  training: { epochs: 1, batchSize: 32, learningRate: 1, l2: 0 },
  strategy: { name: "fedavg", settings: {}, clipNorm: null },
  privacy: null,
  rounds: 1,
  minAvailable: 1,
  sampleSize: 1,
  minResponses: 1,
  graceMs: 0,
  deadlineMs: 1_000,
  evaluateEvery: 1,
  patience: 0,
  seed: 1,
};

/** One step of each participant, and its update added: participants a second. */
async function simulate(): Promise<number> {
  const rows = Array.from({ length: 32 }, (_, i) =>
    JSON.stringify({ text: `word${i} word${i % 7} free money ${i}`, label: i % 2 }),
  ).join("\n");
  const trainer = trainerOf(plan, rows, 0);
  const start = new Float32Array(trainer.size);
  const sum = exactSum(trainer.size);
  const signal = new AbortController().signal;
  const { epochs, batchSize, learningRate, l2 } = plan.training;
  const begin = performance.now();
  for (let i = 0; i < participants; i++) {
    const settings = { epochs, batchSize, learningRate, l2, proximalMu: 0, seed: i };
    const { parameters: trained } = await trainer.fit(start, settings, signal);
    sum.beginUpdate(32);
    sum.add(trained, 32);
  }
  return (1000 * participants) / (performance.now() - begin);
}

export const benchmark: Benchmark = {
  name: "federated",
  async run() {
    const update = Float32Array.from({ length: parameters }, (_, i) => Math.sin(i));
    const updates = Array.from(
      { length: medianUpdates },
      (_, u): FitUpdate => ({
        participant: String(u).padStart(3, "0"),
        examples: 1,
        delta: Float32Array.from({ length: medianParameters }, (_v, i) =>
          Math.sin(i * 31 + u * 17),
        ),
      }),
    );
    const sums: { readonly ours: number; readonly plain: number }[] = [];
    const medians: { readonly ours: number; readonly plain: number }[] = [];
    const clients: number[] = [];
    // One of each first: code that is compiled only on the way is not what is compared.
    sumOurs(update);
    sumPlain(update);
    for (let run = 0; run < runs; run++) {
      sums.push({ ours: sumOurs(update), plain: sumPlain(update) });
      medians.push({ ours: medianOurs(updates), plain: medianPlain(updates) });
      clients.push(await simulate());
    }
    return {
      engine: "JavaScript, one thread",
      runs,
      figures: [
        figure(
          "federated.aggregate_ratio_vs_js",
          sums.map(({ ours, plain }) => plain / ours),
          "ratio",
        ),
        figure(
          "federated.aggregate_rate",
          sums.map(({ ours }) => (4 * parameters) / 1e9 / ours),
          "GB/s",
        ),
        figure(
          "federated.median_ratio_vs_sort",
          medians.map(({ ours, plain }) => plain / ours),
          "ratio",
        ),
        figure("federated.simulated_clients_per_s", clients, "1/s"),
      ],
      notes: [
        "aggregation: one update of 10M float32 in pieces of 64 KiB into a sum of doubles; ours also checks each value's bound and rounds to the grid that makes sums exact in any order, plain JavaScript does neither",
        `coordinate median: ${medianUpdates} updates of ${medianParameters} parameters; a Float32Array is sorted for each coordinate on the other side`,
        `simulated participants: a linear model of ${2 * (features + 1)} parameters, one step on 32 texts each, the update added; no neural network`,
      ],
    };
  },
};
