/**
 * Sums that are exact, and so the same in any order: each weighted value is rounded to one fixed grid, on
 * which a double adds without error as long as the total stays under 2^53 steps. A run that was killed
 * and goes on, or updates that come in another order, give the same bits.
 */
import { FederatedError } from "../errors.ts";
import { defineStrategy, type FitUpdate, type MeanRule, type Strategy } from "./strategy.ts";

export interface SumLimits {
  /** Largest magnitude of a value of an update. Default 64. */
  readonly maxValue: number;
  /** Largest sum of the weights. Default 2^24 (16,777,216 examples). */
  readonly maxWeight: number;
}

export const sumLimits: SumLimits = { maxValue: 64, maxWeight: 2 ** 24 };

/** Adds weighted updates, whole or in pieces. */
export interface ExactSum {
  /** Sum of the weights so far. */
  readonly weight: number;
  readonly values: Float64Array;
  /**
   * Values from an offset on, under a weight: `beginUpdate` once an update, then its pieces.
   * @throws FederatedError `bad-update` for a value that is over the bound or no number; the sum is then of no
   * more use. {@link check} tells before.
   */
  add(values: Float32Array, weight: number, offset?: number): void;
  /** @throws FederatedError `bad-update` for what {@link add} would refuse. */
  check(values: Float32Array): void;
  /** @throws FederatedError `bad-update` for more weight than the grid holds. */
  beginUpdate(weight: number): void;
  /** Adds to each value, rounded to the grid. */
  perturb(draw: () => number): void;
  /** Values over weight. */
  mean(): Float64Array;
}

export function exactSum(size: number, limits: SumLimits = sumLimits): ExactSum {
  const { maxValue, maxWeight } = limits;
  // 2^53 steps hold the largest total; a power of two, so that the grid itself is exact.
  const step = 2 ** (Math.ceil(Math.log2(maxValue * maxWeight)) - 52);
  // Adding and taking away this much rounds to the step: below it a double has no finer one.
  const round = 1.5 * 2 ** 52 * step;
  const values = new Float64Array(size);
  let weight = 0;
  return {
    get weight() {
      return weight;
    },
    values,
    check: (piece) => requireBound(piece, maxValue),
    beginUpdate(added) {
      if (!Number.isSafeInteger(added) || added < 1 || weight + added > maxWeight) {
        throw new FederatedError(
          "bad-update",
          `Weights of a round are whole numbers of at most ${maxWeight} together.`,
        );
      }
      weight += added;
    },
    add(piece, by, offset = 0) {
      if (offset + piece.length > size) {
        throw new FederatedError("bad-update", "An update has more values than the model.");
      }
      let good = true;
      for (let i = 0; i < piece.length; i++) {
        const value = piece[i] as number;
        // Written so that what is no number fails too.
        if (!((value < 0 ? -value : value) <= maxValue)) good = false;
        values[offset + i] = (values[offset + i] as number) + (value * by + round - round);
      }
      if (!good) refuse(maxValue);
    },
    perturb(draw) {
      for (let i = 0; i < size; i++) {
        values[i] = (values[i] as number) + Math.round(draw() / step) * step;
      }
    },
    mean: () => values.map((value) => value / weight),
  };
}

/** Written so that what is no number fails too. */
function requireBound(values: Float32Array, maxValue: number): void {
  let good = true;
  for (let i = 0; i < values.length; i++) {
    if (!(Math.abs(values[i] as number) <= maxValue)) good = false;
  }
  if (!good) refuse(maxValue);
}

function refuse(maxValue: number): never {
  throw new FederatedError(
    "bad-update",
    `An update has a value over ${maxValue}, or one that is no number.`,
  );
}

/** Σ weight·vector / Σ weight, exactly as above. */
export function weightedMean(
  updates: readonly FitUpdate[],
  pick: (update: FitUpdate) => Float32Array,
  weigh: (update: FitUpdate) => number,
  limits?: SumLimits,
): Float64Array {
  const [first] = updates;
  const sum = exactSum(first === undefined ? 0 : pick(first).length, limits);
  for (const update of updates) {
    sum.beginUpdate(weigh(update));
    sum.add(pick(update), weigh(update));
  }
  return sum.mean();
}

/** `parameters + by · change`, rounded once. */
export function step(
  parameters: Float32Array,
  change: Float64Array,
  by: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(parameters.length);
  for (let i = 0; i < out.length; i++) {
    out[i] = (parameters[i] as number) + by * (change[i] as number);
  }
  return out;
}

/** A strategy on means: what it does with whole updates follows from what it does with their mean. */
export function defineMeanStrategy(
  strategy: Omit<
    Strategy,
    "needs" | "aggregate" | "mean" | "requires" | "clientConfig" | "minimumUpdates" | "initialState"
  > &
    Partial<Pick<Strategy, "requires" | "clientConfig" | "initialState">>,
  mean: MeanRule,
): Strategy {
  return defineStrategy({
    ...strategy,
    needs: "sum",
    mean,
    aggregate: ({ parameters, state, updates }) =>
      mean.apply({
        parameters,
        state,
        delta: weightedMean(updates, ({ delta }) => delta, mean.weigh),
        control:
          strategy.requires?.includes("control") === true
            ? weightedMean(updates, ({ control }) => control as Float32Array, mean.weigh)
            : undefined,
        count: updates.length,
      }),
  });
}
