/** Strategies that need the weighted average of the updates, and what the server does with it. */

import { type FitUpdate, requireRange, type Strategy, vectorOf } from "./strategy.ts";
import { defineMeanStrategy, step } from "./sum.ts";

const byExamples = ({ examples }: Pick<FitUpdate, "examples">): number => examples;

/**
 * Federated averaging: `x ← x + η Σ (n_i / n) Δ_i`.
 * Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
 * AISTATS 2017, algorithm 1 (η = 1).
 */
export function fedAvg({
  serverLearningRate = 1,
}: {
  readonly serverLearningRate?: number;
} = {}): Strategy {
  requireRange("serverLearningRate", serverLearningRate, 1e-6, 100);
  return defineMeanStrategy(
    { name: "fedavg", settings: { serverLearningRate } },
    {
      weigh: byExamples,
      apply: ({ parameters, delta, state }) => ({
        parameters: step(parameters, delta, serverLearningRate),
        state,
      }),
    },
  );
}

/**
 * Averaging with a proximal term `(μ/2) ‖w − w_round‖²` in the participants' objective.
 * Source: Li et al., "Federated Optimization in Heterogeneous Networks", MLSys 2020, algorithm 2, averaged by examples.
 */
export function fedProx({ proximalMu = 0.1 }: { readonly proximalMu?: number } = {}): Strategy {
  requireRange("proximalMu", proximalMu, 0, 1000);
  return { ...fedAvg(), name: "fedprox", settings: { proximalMu }, clientConfig: { proximalMu } };
}

/**
 * Momentum at the server: `v ← β v + Δ; x ← x + η v`.
 * Source: Hsu et al., "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
 * Classification", 2019, section 4.3.
 */
export function fedAvgM({
  serverLearningRate = 1,
  momentum = 0.9,
}: {
  readonly serverLearningRate?: number;
  readonly momentum?: number;
} = {}): Strategy {
  requireRange("serverLearningRate", serverLearningRate, 1e-6, 100);
  requireRange("momentum", momentum, 0, 0.9999);
  return defineMeanStrategy(
    {
      name: "fedavgm",
      settings: { serverLearningRate, momentum },
      initialState: (size) => ({ velocity: new Float64Array(size) }),
    },
    {
      weigh: byExamples,
      apply({ parameters, delta, state }) {
        const before = vectorOf(state, "velocity", parameters.length);
        const velocity = delta.map((value, i) => momentum * (before[i] as number) + value);
        return { parameters: step(parameters, velocity, serverLearningRate), state: { velocity } };
      },
    },
  );
}

export interface AdaptiveOptions {
  /** η. Default 0.1. */
  readonly serverLearningRate?: number;
  /** β₁. Default 0.9 (0 for FedAdagrad). */
  readonly beta1?: number;
  /** β₂. Default 0.99. */
  readonly beta2?: number;
  /** τ: degree of adaptivity. Default 1e-3. */
  readonly tau?: number;
}

type SecondMoment = (v: number, square: number, beta2: number) => number;

/**
 * `m ← β₁ m + (1 − β₁) Δ; v ← …; x ← x + η m / (√v + τ)`, v from τ² on.
 * Source: Reddi et al., "Adaptive Federated Optimization", ICLR 2021, algorithm 2.
 */
function adaptive(name: string, moment: SecondMoment, options: AdaptiveOptions): Strategy {
  const { serverLearningRate = 0.1, beta1 = 0.9, beta2 = 0.99, tau = 1e-3 } = options;
  requireRange("serverLearningRate", serverLearningRate, 1e-6, 100);
  requireRange("beta1", beta1, 0, 0.9999);
  requireRange("beta2", beta2, 0, 0.999999);
  requireRange("tau", tau, 1e-12, 1);
  return defineMeanStrategy(
    {
      name,
      settings: { serverLearningRate, beta1, beta2, tau },
      initialState: (size) => ({
        m: new Float64Array(size),
        v: new Float64Array(size).fill(tau * tau),
      }),
    },
    {
      weigh: byExamples,
      apply({ parameters, delta: mean, state }) {
        const before = vectorOf(state, "m", parameters.length);
        const squares = vectorOf(state, "v", parameters.length, tau * tau);
        const m = mean.map((delta, i) => beta1 * (before[i] as number) + (1 - beta1) * delta);
        const v = mean.map((delta, i) => moment(squares[i] as number, delta * delta, beta2));
        const change = m.map((value, i) => value / (Math.sqrt(v[i] as number) + tau));
        return { parameters: step(parameters, change, serverLearningRate), state: { m, v } };
      },
    },
  );
}

/** `v ← v + Δ²`. See {@link fedAdam} for the source. */
export function fedAdagrad(options: AdaptiveOptions = {}): Strategy {
  return adaptive("fedadagrad", (v, square) => v + square, { beta1: 0, ...options });
}

/** `v ← v − (1 − β₂) Δ² sign(v − Δ²)`. See {@link fedAdam} for the source. */
export function fedYogi(options: AdaptiveOptions = {}): Strategy {
  const moment: SecondMoment = (v, square, beta2) =>
    v - (1 - beta2) * square * Math.sign(v - square);
  return adaptive("fedyogi", moment, options);
}

/** `v ← β₂ v + (1 − β₂) Δ²`. Source: Reddi et al., ICLR 2021, algorithm 2. */
export function fedAdam(options: AdaptiveOptions = {}): Strategy {
  return adaptive("fedadam", (v, square, beta2) => beta2 * v + (1 - beta2) * square, options);
}
