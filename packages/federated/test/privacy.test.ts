/** The accountant against published values, and the noise against its own distribution. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { deltaOf, epsilonOf, erfc } from "../src/privacy/accountant.ts";
import { gaussianNoise } from "../src/privacy/noise.ts";
import { clipped, norm } from "../src/strategies/index.ts";

describe("the accountant", () => {
  test("erfc has the values of Abramowitz and Stegun, tables 7.1 and 7.3", () => {
    for (const [x, value] of [
      [0, 1],
      [0.5, 0.4795001222],
      [1, 0.1572992071],
      [2, 0.004677734981],
      [-1, 1.8427007929],
    ] as const) {
      expect(erfc(x)).toBeCloseTo(value, 9);
    }
    // Both ways of computing it meet.
    expect(erfc(2.4999999) / erfc(2.5000001)).toBeCloseTo(1, 5);
    expect(erfc(5) / 1.5374597944e-12).toBeCloseTo(1, 6);
  });

  test("the analytic Gaussian mechanism: σ = 3.730632 is ε = 1 at δ = 1e-5", () => {
    // Balle and Wang's algorithm 1 (ICML 2018), as in its authors' implementation.
    expect(epsilonOf(3.730632, 1, 1e-5)).toBeCloseTo(1, 3);
  });

  test("is at most what Rényi accounting gives, and not far below", () => {
    // ε of RDP (Mironov 2017) with the conversion of Canonne et al. 2020, proposition 12.
    const rdp = (z: number, rounds: number, delta: number): number => {
      let best = Number.POSITIVE_INFINITY;
      for (let alpha = 1.01; alpha < 400; alpha *= 1.01) {
        const spent = (rounds * alpha) / (2 * z * z);
        const epsilon =
          spent + Math.log1p(-1 / alpha) - (Math.log(delta) + Math.log(alpha)) / (alpha - 1);
        best = Math.min(best, epsilon);
      }
      return best;
    };
    for (const z of [0.7, 1, 2, 5]) {
      for (const rounds of [1, 10, 100]) {
        const ours = epsilonOf(z, rounds, 1e-5);
        const theirs = rdp(z, rounds, 1e-5);
        expect(ours).toBeLessThanOrEqual(theirs + 1e-9);
        expect(ours).toBeGreaterThan(theirs * 0.75 - 0.3);
      }
    }
  });

  test("rises with rounds, falls with noise and δ, and spends its δ", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.3, max: 20, noNaN: true }),
        fc.integer({ min: 1, max: 500 }),
        fc.double({ min: 1e-9, max: 1e-3, noNaN: true }),
        (z, rounds, delta) => {
          const epsilon = epsilonOf(z, rounds, delta);
          expect(epsilonOf(z, rounds + 1, delta)).toBeGreaterThanOrEqual(epsilon);
          expect(epsilonOf(z * 1.1, rounds, delta)).toBeLessThanOrEqual(epsilon);
          expect(deltaOf(Math.sqrt(rounds) / z, epsilon)).toBeLessThanOrEqual(delta * (1 + 1e-9));
        },
      ),
    );
  });
});

describe("the noise", () => {
  const key = new Uint8Array(32).fill(5);
  const take = (draw: () => number, count: number): number[] => Array.from({ length: count }, draw);

  test("is standard normal", () => {
    const values = take(gaussianNoise(key, "ab", 1, "cd"), 200_000);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
    const within = (bound: number): number =>
      values.filter((value) => Math.abs(value) < bound).length / values.length;
    expect(within(1)).toBeCloseTo(0.6827, 2);
    expect(within(2)).toBeCloseTo(0.9545, 2);
    expect(within(3)).toBeCloseTo(0.9973, 2);
  });

  test("is the same for the same set, and another for another key, run, round or set", () => {
    const first = take(gaussianNoise(key, "ab", 1, "cd"), 4);
    expect(take(gaussianNoise(key, "ab", 1, "cd"), 4)).toEqual(first);
    for (const other of [
      gaussianNoise(new Uint8Array(32), "ab", 1, "cd"),
      gaussianNoise(key, "ac", 1, "cd"),
      gaussianNoise(key, "ab", 2, "cd"),
      gaussianNoise(key, "ab", 1, "ce"),
      gaussianNoise(key, "abc", 1, "d"),
    ]) {
      expect(take(other, 4)).not.toEqual(first);
    }
  });

  test("a clipped update is never longer than its bound", () => {
    const values = fc.array(fc.float({ min: -60, max: 60, noNaN: true }), {
      minLength: 1,
      maxLength: 30,
    });
    fc.assert(
      fc.property(values, fc.double({ min: 1e-3, max: 64, noNaN: true }), (list, bound) => {
        expect(norm(clipped(Float32Array.from(list), bound))).toBeLessThanOrEqual(bound);
      }),
    );
  });
});
