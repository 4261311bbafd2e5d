/** Reproducible draws: equal for equal seeds. No secret may hang on them. */

export interface Draws {
  /** From 0 to under 1, in steps of 2^-53. */
  unit(): number;
  /** A whole number from 0 to under `below`. */
  below(below: number): number;
  /** In place, all orders equally likely (Fisher and Yates). */
  shuffle(items: Uint32Array): void;
  /** Gamma distribution of the given shape and scale 1. */
  gamma(shape: number): number;
}

/** Mulberry32 (public domain, T. Ettinger). */
export function createDraws(seed: number): Draws {
  let state = seed >>> 0;
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  const unit = (): number => ((word() >>> 5) * 2 ** 26 + (word() >>> 6)) / 2 ** 53;
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - unit())) * Math.cos(2 * Math.PI * unit());
  // Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; shapes under 1 by their section 6.
  const gamma = (shape: number): number => {
    if (shape < 1) return gamma(shape + 1) * (1 - unit()) ** (1 / shape);
    const d = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - unit()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  };
  const below = (limit: number): number => Math.floor(unit() * limit);
  return {
    unit,
    below,
    gamma,
    shuffle(items) {
      for (let i = items.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [items[i], items[j]] = [items[j] as number, items[i] as number];
      }
    },
  };
}
