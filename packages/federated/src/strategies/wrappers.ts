/** Wrappers: a strategy on updates that were changed first. */
import type { FitUpdate, Strategy } from "./strategy.ts";
import { requireRange } from "./strategy.ts";

function wrapped(
  inner: Strategy,
  name: string,
  settings: Readonly<Record<string, number>>,
  change: (update: FitUpdate) => FitUpdate,
): Strategy {
  const { mean: _unchanged, ...rest } = inner;
  return {
    ...rest,
    name: `${name}(${inner.name})`,
    settings: { ...inner.settings, ...settings },
    // A factor of its own for each update is no longer a plain weighted sum.
    needs: "each",
    aggregate: (input) => inner.aggregate({ ...input, updates: input.updates.map(change) }),
  };
}

/** ‖v‖₂, in double precision. */
export function norm(values: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2;
  return Math.sqrt(sum);
}

/** The same direction, at most `maxNorm` long. */
export function clipped(values: Float32Array, maxNorm: number): Float32Array {
  const length = norm(values);
  if (length <= maxNorm) return values;
  const by = maxNorm / length;
  const out = values.map((value) => value * by);
  // Rounding to 32 bits may have gone up: the bound is what the noise is calibrated to.
  return norm(out) <= maxNorm ? out : out.map((value) => value * (1 - 2 ** -22));
}

/**
 * Scales updates down to a norm of at most `maxNorm`, so that no participant moves the model farther than that.
 * Source: Sun et al., "Can You Really Backdoor Federated Learning?", 2019, section 3 (norm thresholding).
 */
export function clipNorm(inner: Strategy, maxNorm: number): Strategy {
  requireRange("maxNorm", maxNorm, 1e-9, 1e9);
  return wrapped(inner, "clip", { maxNorm }, (update) => {
    const delta = clipped(update.delta, maxNorm);
    return delta === update.delta ? update : { ...update, delta };
  });
}

/**
 * Updates that began `s` rounds ago count `(1 + s)^−exponent` as much (FedBuff's default is 0.5).
 * Source: Nguyen et al., "Federated Learning with Buffered Asynchronous Aggregation", AISTATS 2022, section 5.
 * @param stalenessOf rounds since the parameters that an update began with.
 */
export function discountStale(
  inner: Strategy,
  stalenessOf: (update: FitUpdate) => number,
  exponent = 0.5,
): Strategy {
  requireRange("exponent", exponent, 0, 10);
  return wrapped(inner, "stale", { exponent }, (update) => {
    const by = (1 + Math.max(0, stalenessOf(update))) ** -exponent;
    return by === 1 ? update : { ...update, delta: update.delta.map((value) => value * by) };
  });
}
