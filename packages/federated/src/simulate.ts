/**
 * A run of the same strategies and trainers in one process, to choose a plan before there are parties: no
 * channels, no attestation, nothing that is protected from anybody.
 */
import { type Random, systemRandom, throwIfAborted, toHex } from "@vivarium/core";
import { type Parts, partitionDirichlet, partitionIid, partitionShards } from "@vivarium/tensors";
import { FederatedError } from "./errors.ts";
import type { RoundMetrics } from "./journal.ts";
import { type Example, examplesOf, parseJsonLines } from "./learn/examples.ts";
import { linearTrainer, shuffle } from "./learn/linear.ts";
import { initialParameters } from "./learn/model.ts";
import { createRandom } from "./learn/random.ts";
import type { Evaluation, FitSettings, Trainer } from "./learn/trainer.ts";
import { type FederatedPlan, strategyOf } from "./plan.ts";
import { gaussianNoise } from "./privacy/noise.ts";
import {
  type AggregateResult,
  clipped,
  exactSum,
  type FitUpdate,
  type Strategy,
  type StrategyState,
} from "./strategies/index.ts";

/** How rows are dealt out: at random; so many shards of sorted labels each; uneven by a Dirichlet draw. */
export type DataSplit =
  | { readonly kind: "iid" }
  | { readonly kind: "shards"; readonly each: number }
  | { readonly kind: "dirichlet"; readonly alpha: number };

export interface SimulationOptions {
  readonly plan: FederatedPlan;
  /** JSON lines of all data. */
  readonly data: string;
  /** Share of the rows that nobody trains on. */
  readonly testShare: number;
  readonly participants: number;
  readonly split: DataSplit;
  readonly signal?: AbortSignal;
  readonly random?: Random;
  readonly onRound?: (metrics: RoundMetrics) => void;
}

export interface Simulation {
  readonly history: readonly RoundMetrics[];
  /** Training examples of each participant. */
  readonly sizes: readonly number[];
  readonly parameters: Float32Array;
}

interface Data {
  readonly train: readonly Example[];
  readonly test: readonly Example[];
}

/** @throws FederatedError `bad-data` or `invalid-argument`; TensorsError for a split that cannot be made. */
export async function simulate(options: SimulationOptions): Promise<Simulation> {
  const { plan, participants, signal = new AbortController().signal, onRound } = options;
  const { train, test } = dataOf(options);
  const { features, classes } = plan.model;
  const nothing = examplesOf([], features, classes);
  const parts = partsOf(options, train);
  const trainers = parts.map((part) => {
    const rows = [...part].map((i) => train[i] as Example);
    return linearTrainer(classes, examplesOf(rows, features, classes), nothing);
  });
  const judge = linearTrainer(classes, nothing, examplesOf(test, features, classes));
  const strategy = strategyOf(plan);
  const { random = systemRandom() } = options;
  const [run, noiseKey] = [toHex(random.bytes(16)), random.bytes(32)];
  const controls = new Map<number, Float32Array>();
  let parameters = initialParameters(plan);
  let state = strategy.initialState(parameters.length);
  const history: RoundMetrics[] = [];
  for (let round = 1; round <= plan.rounds; round++) {
    const order = Uint32Array.from({ length: participants }, (_, i) => i);
    shuffle(order, createRandom(plan.seed + round));
    const cohort = [...order.subarray(0, plan.sampleSize)].sort((a, b) => a - b);
    const updates: FitUpdate[] = [];
    for (const i of cohort) {
      throwIfAborted(signal);
      const trainer = trainers[i] as Trainer;
      if (trainer.examples === 0) continue;
      updates.push(
        await updateOf({ plan, strategy, trainer, parameters, state, controls, round, i, signal }),
      );
    }
    const draw = gaussianNoise(noiseKey, run, round, "simulation");
    ({ parameters, state } = combine(plan, strategy, { parameters, state, updates }, draw));
    if (round % plan.evaluateEvery !== 0 && round !== plan.rounds) continue;
    const metrics = { round, participants: updates.length, ...judge.evaluate(parameters) };
    history.push(metrics);
    onRound?.(metrics);
  }
  return { history, sizes: trainers.map(({ examples }) => examples), parameters };
}

/** The same model on all rows in one place, for as many passes: what federation is held against. */
export async function centralBaseline(
  options: Omit<SimulationOptions, "participants" | "split">,
): Promise<Evaluation> {
  const { plan, signal = new AbortController().signal } = options;
  const { train, test } = dataOf(options);
  const { features, classes } = plan.model;
  const all = linearTrainer(
    classes,
    examplesOf(train, features, classes),
    examplesOf(test, features, classes),
  );
  const { batchSize, learningRate, l2, epochs } = plan.training;
  const settings: FitSettings = {
    ...{ batchSize, learningRate, l2, proximalMu: 0, seed: plan.seed },
    epochs: epochs * plan.rounds,
  };
  const { parameters } = await all.fit(initialParameters(plan), settings, signal);
  return all.evaluate(parameters);
}

function dataOf({
  plan,
  data,
  testShare,
}: Pick<SimulationOptions, "plan" | "data" | "testShare">): Data {
  const rows = parseJsonLines(data, plan.model.input);
  const order = Uint32Array.from({ length: rows.length }, (_, i) => i);
  shuffle(order, createRandom(plan.seed));
  const drawn = [...order].map((i) => rows[i] as Example);
  const tests = Math.round(rows.length * testShare);
  if (tests < 1 || tests >= rows.length) {
    throw new FederatedError("bad-data", "The data are too few for a test set and a training set.");
  }
  return { train: drawn.slice(tests), test: drawn.slice(0, tests) };
}

function partsOf(
  { plan, participants, split }: SimulationOptions,
  rows: readonly Example[],
): Parts {
  const labels = rows.map(({ label }) => label);
  switch (split.kind) {
    case "iid":
      return partitionIid(rows.length, participants, plan.seed);
    case "shards":
      return partitionShards(labels, participants, split.each, plan.seed);
    case "dirichlet":
      return partitionDirichlet(labels, {
        parties: participants,
        alpha: split.alpha,
        seed: plan.seed,
      });
  }
}

interface Turn {
  readonly plan: FederatedPlan;
  readonly strategy: Strategy;
  readonly trainer: Trainer;
  readonly parameters: Float32Array;
  readonly state: StrategyState;
  /** SCAFFOLD's control variates, by participant. */
  readonly controls: Map<number, Float32Array>;
  readonly round: number;
  readonly i: number;
  readonly signal: AbortSignal;
}

async function updateOf(turn: Turn): Promise<FitUpdate> {
  const { plan, strategy, trainer, parameters, state, controls, round, i, signal } = turn;
  const { epochs, batchSize, learningRate, l2 } = plan.training;
  const global = strategy.requires.includes("control") ? state["control"] : undefined;
  const own = controls.get(i) ?? new Float32Array(parameters.length);
  const result = await trainer.fit(
    parameters,
    {
      ...{ epochs, batchSize, learningRate, l2 },
      proximalMu: strategy.clientConfig["proximalMu"] ?? 0,
      seed: plan.seed + 7919 * round + i,
      ...(global === undefined
        ? {}
        : { correction: Float32Array.from(global, (c, k) => c - (own[k] as number)) }),
    },
    signal,
  );
  const delta = result.parameters.map((value, k) => value - (parameters[k] as number));
  const update: FitUpdate = {
    participant: String(i).padStart(9, "0"),
    examples: trainer.examples,
    steps: result.steps,
    loss: result.loss,
    delta,
  };
  if (global === undefined) return update;
  // Option II of SCAFFOLD, as participants do it.
  const next = own.map(
    (value, k) =>
      value - (global[k] as number) - (delta[k] as number) / (result.steps * learningRate),
  );
  controls.set(i, next);
  return { ...update, control: next.map((value, k) => value - (own[k] as number)) };
}

function combine(
  plan: FederatedPlan,
  strategy: Strategy,
  input: {
    readonly parameters: Float32Array;
    readonly state: StrategyState;
    readonly updates: readonly FitUpdate[];
  },
  draw: () => number,
): AggregateResult {
  const { parameters, state, updates } = input;
  if (plan.privacy === null || strategy.mean === undefined) return strategy.aggregate(input);
  const { clipNorm, noiseMultiplier } = plan.privacy;
  const sum = exactSum(parameters.length);
  for (const { delta } of updates) {
    sum.beginUpdate(1);
    sum.add(clipped(delta, clipNorm), 1);
  }
  sum.perturb(() => clipNorm * noiseMultiplier * draw());
  return strategy.mean.apply({
    ...{ parameters, state, delta: sum.mean(), control: undefined },
    count: updates.length,
  });
}
