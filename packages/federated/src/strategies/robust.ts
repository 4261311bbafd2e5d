/** Strategies that hold although some participants send what they like. They compare single updates. */
import { eachCoordinate, medianOf, select } from "./select.ts";
import {
  defineStrategy,
  type FitUpdate,
  invalid,
  requireRange,
  type Strategy,
} from "./strategy.ts";
import { step } from "./sum.ts";

const deltasOf = (updates: readonly FitUpdate[]): readonly Float32Array[] =>
  updates.map(({ delta }) => delta);

/**
 * The median of each coordinate.
 * Source: Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018, definition 1.
 */
export function coordinateMedian(): Strategy {
  return defineStrategy({
    name: "median",
    settings: {},
    needs: "each",
    aggregate({ parameters, updates, state }) {
      const change = new Float64Array(parameters.length);
      eachCoordinate(deltasOf(updates), (values, i) => {
        change[i] = medianOf(values);
      });
      return { parameters: step(parameters, change, 1), state };
    },
  });
}

/**
 * The mean of each coordinate without its ⌊β m⌋ largest and smallest values.
 * Source: Yin et al., ICML 2018, definition 2.
 */
export function trimmedMean({ beta = 0.2 }: { readonly beta?: number } = {}): Strategy {
  if (!(beta >= 0 && beta < 0.5)) invalid("beta must be from 0 to under 0.5");
  return defineStrategy({
    name: "trimmedmean",
    settings: { beta },
    needs: "each",
    aggregate({ parameters, updates, state }) {
      const cut = Math.floor(beta * updates.length);
      const change = new Float64Array(parameters.length);
      eachCoordinate(deltasOf(updates), (values, i) => {
        change[i] = innerMean(values, cut);
      });
      return { parameters: step(parameters, change, 1), state };
    },
  });
}

function innerMean(values: Float32Array, cut: number): number {
  if (cut > 0) {
    select(values, cut);
    select(values, values.length - cut - 1, cut);
  }
  // Sorted, so that the sum does not depend on how the selection moved them.
  const kept = values.subarray(cut, values.length - cut).sort();
  let sum = 0;
  for (let i = 0; i < kept.length; i++) sum += kept[i] as number;
  return sum / kept.length;
}

/** ‖a − b‖² of all pairs. */
function distances(vectors: readonly Float32Array[]): readonly Float64Array[] {
  const rows = vectors.map(() => new Float64Array(vectors.length));
  for (const [i, a] of vectors.entries()) {
    for (let j = 0; j < i; j++) {
      const b = vectors[j] as Float32Array;
      let sum = 0;
      for (let k = 0; k < a.length; k++) {
        const difference = (a[k] as number) - (b[k] as number);
        sum += difference * difference;
      }
      (rows[i] as Float64Array)[j] = sum;
      (rows[j] as Float64Array)[i] = sum;
    }
  }
  return rows;
}

/** Index with the least sum of distances to its n − f − 2 nearest among `alive`. */
function krumIndex(rows: readonly Float64Array[], alive: readonly number[], f: number): number {
  const near = Math.max(1, alive.length - f - 2);
  let best = alive[0] as number;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const i of alive) {
    const others = alive.filter((j) => j !== i).map((j) => (rows[i] as Float64Array)[j] as number);
    others.sort((a, b) => a - b);
    const score = others.slice(0, near).reduce((sum, value) => sum + value, 0);
    if (score < bestScore) {
      best = i;
      bestScore = score;
    }
  }
  return best;
}

function meanOf(vectors: readonly Float32Array[]): Float64Array {
  const mean = new Float64Array(vectors[0]?.length ?? 0);
  for (const vector of vectors) {
    for (let i = 0; i < mean.length; i++) {
      mean[i] = (mean[i] as number) + (vector[i] as number) / vectors.length;
    }
  }
  return mean;
}

/**
 * Krum: the update nearest to its n − f − 2 nearest others; Multi-Krum: the mean of the `keep` best, each chosen by its
 * score among all.
 * Source: Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017, sections 4 and 6.
 * @param byzantine f; a round needs 2f + 3 updates.
 */
export function krum({ byzantine, keep = 1 }: { byzantine: number; keep?: number }): Strategy {
  requireCount("byzantine", byzantine, 0);
  requireCount("keep", keep, 1);
  return defineStrategy({
    name: keep === 1 ? "krum" : "multikrum",
    settings: { byzantine, keep },
    needs: "each",
    minimumUpdates: Math.max(2 * byzantine + 3, keep),
    aggregate({ parameters, updates, state }) {
      const deltas = deltasOf(updates);
      const rows = distances(deltas);
      const near = deltas.length - byzantine - 2;
      const scores = rows.map((row, i) => {
        const others = [...row].filter((_, j) => j !== i).sort((a, b) => a - b);
        return { i, score: others.slice(0, near).reduce((sum, value) => sum + value, 0) };
      });
      scores.sort((a, b) => a.score - b.score || a.i - b.i);
      const kept = scores.slice(0, keep).map(({ i }) => deltas[i] as Float32Array);
      return { parameters: step(parameters, meanOf(kept), 1), state };
    },
  });
}

/**
 * Bulyan: n − 2f updates by repeated Krum, then of each coordinate the mean of the n − 4f values nearest to their median.
 * Source: El Mhamdi et al., "The Hidden Vulnerability of Distributed Learning in Byzantium", ICML 2018, section 4.
 * @param byzantine f; a round needs 4f + 3 updates.
 */
export function bulyan({ byzantine }: { byzantine: number }): Strategy {
  requireCount("byzantine", byzantine, 0);
  return defineStrategy({
    name: "bulyan",
    settings: { byzantine },
    needs: "each",
    minimumUpdates: 4 * byzantine + 3,
    aggregate({ parameters, updates, state }) {
      const deltas = deltasOf(updates);
      const rows = distances(deltas);
      let alive = deltas.map((_, i) => i);
      const chosen: Float32Array[] = [];
      while (chosen.length < deltas.length - 2 * byzantine) {
        const best = krumIndex(rows, alive, byzantine);
        chosen.push(deltas[best] as Float32Array);
        alive = alive.filter((i) => i !== best);
      }
      const keep = chosen.length - 2 * byzantine;
      const change = new Float64Array(parameters.length);
      eachCoordinate(chosen, (values, i) => {
        change[i] = nearestMean(values.sort(), keep);
      });
      return { parameters: step(parameters, change, 1), state };
    },
  });
}

/** @param sorted ascending. */
function nearestMean(sorted: Float32Array, keep: number): number {
  const half = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1
      ? (sorted[half] as number)
      : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
  // The nearest values are neighbours: the window that ends last while it still comes nearer.
  let start = 0;
  while (
    start + keep < sorted.length &&
    median - (sorted[start] as number) > (sorted[start + keep] as number) - median
  ) {
    start++;
  }
  let sum = 0;
  for (let i = start; i < start + keep; i++) sum += sorted[i] as number;
  return sum / keep;
}

/**
 * The point with the least weighted sum of distances (RFA), by the smoothed Weiszfeld algorithm.
 * Source: Pillutla et al., "Robust Aggregation for Federated Learning", IEEE TSP 2022, algorithm 2.
 */
export function geometricMedian({
  iterations = 8,
  smoothing = 1e-6,
}: {
  readonly iterations?: number;
  readonly smoothing?: number;
} = {}): Strategy {
  requireCount("iterations", iterations, 1);
  requireRange("smoothing", smoothing, 1e-12, 1);
  return defineStrategy({
    name: "geometricmedian",
    settings: { iterations, smoothing },
    needs: "each",
    aggregate({ parameters, updates, state }) {
      const total = updates.reduce((sum, { examples }) => sum + examples, 0);
      let weights = updates.map(({ examples }) => examples / total);
      let point = weighted(updates, weights);
      for (let i = 0; i < iterations; i++) {
        const raw = updates.map(
          ({ delta, examples }) =>
            examples / total / Math.max(smoothing, Math.sqrt(squaredDistance(delta, point))),
        );
        const sum = raw.reduce((a, b) => a + b, 0);
        weights = raw.map((weight) => weight / sum);
        point = weighted(updates, weights);
      }
      return { parameters: step(parameters, point, 1), state };
    },
  });
}

function weighted(updates: readonly FitUpdate[], weights: readonly number[]): Float64Array {
  const out = new Float64Array(updates[0]?.delta.length ?? 0);
  for (const [u, { delta }] of updates.entries()) {
    const by = weights[u] as number;
    for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) + by * (delta[i] as number);
  }
  return out;
}

function squaredDistance(a: Float32Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    sum += difference * difference;
  }
  return sum;
}

function requireCount(name: string, value: number, from: number): void {
  if (!Number.isSafeInteger(value) || value < from)
    invalid(`${name} must be a whole number of at least ${from}`);
}
