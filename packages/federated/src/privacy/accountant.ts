/**
 * What a run with Gaussian noise has spent. Each round adds noise of `z` times the bound to a sum, all
 * participants counted: rounds compose exactly to one Gaussian mechanism of μ = √rounds / z.
 * Source: Dong et al., "Gaussian Differential Privacy", JRSS-B 2022, corollaries 1 and 4; the conversion is that of
 * Balle and Wang, "Improving the Gaussian Mechanism for Differential Privacy", ICML 2018, theorem 8. No amplification by
 * sampling is claimed: the draw of a cohort is no secret.
 */
import { invalid } from "../strategies/strategy.ts";

/** Complementary error function: a series near zero, a continued fraction beyond 2.5. Relative error under 1e-9. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; n < 200 && Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  return Math.exp(logErfc(x));
}

/** From 2.5 on, where `erfc` itself may be too small for a double. */
function logErfc(x: number): number {
  let fraction = 0;
  for (let k = 60; k > 0; k--) fraction = k / 2 / (x + fraction);
  return -x * x - Math.log(Math.PI) / 2 - Math.log(x + fraction);
}

/** Standard normal distribution function, times e to a power that may be far too large alone. */
function phi(x: number, power = 0): number {
  const t = -x / Math.SQRT2;
  return t < 2.5 ? (erfc(t) / 2) * Math.exp(power) : Math.exp(power + logErfc(t) - Math.LN2);
}

/** δ at which a μ-GDP mechanism is (ε, δ)-differentially private. */
export function deltaOf(mu: number, epsilon: number): number {
  return phi(mu / 2 - epsilon / mu) - phi(-mu / 2 - epsilon / mu, epsilon);
}

/**
 * ε after so many rounds, for one participant more or less; rounded up.
 * @param noiseMultiplier z: standard deviation of the noise over the bound.
 * @throws FederatedError `invalid-argument` for numbers outside of what an accountant can mean.
 */
export function epsilonOf(noiseMultiplier: number, rounds: number, delta: number): number {
  if (!(noiseMultiplier > 0.01 && noiseMultiplier < 1e6))
    invalid("noiseMultiplier must be over 0.01");
  if (!(delta >= 1e-15 && delta <= 0.1)) invalid("delta must be from 1e-15 to 0.1");
  if (!Number.isSafeInteger(rounds) || rounds < 0) invalid("rounds must be a whole number");
  if (rounds === 0) return 0;
  const mu = Math.sqrt(rounds) / noiseMultiplier;
  if (deltaOf(mu, 0) <= delta) return 0;
  let low = 0;
  let high = 1;
  while (deltaOf(mu, high) > delta && high < 1e6) high *= 2;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (deltaOf(mu, middle) > delta) low = middle;
    else high = middle;
  }
  return high;
}
