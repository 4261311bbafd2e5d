/** Strategies: the contract of all, each against its paper's formula, and adversaries. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bulyan,
  clipNorm,
  coordinateMedian,
  discountStale,
  exactSum,
  type FitUpdate,
  fedAdagrad,
  fedAdam,
  fedAvg,
  fedAvgM,
  fedNova,
  fedProx,
  fedYogi,
  geometricMedian,
  krum,
  norm,
  qFedAvg,
  type Strategy,
  scaffold,
  trimmedMean,
} from "../src/index.ts";
import { medianOf, select } from "../src/strategies/select.ts";

const strategies: readonly Strategy[] = [
  fedAvg(),
  fedAvg({ serverLearningRate: 0.5 }),
  fedProx(),
  fedAvgM(),
  fedAdagrad(),
  fedAdam(),
  fedYogi(),
  scaffold({ population: 10 }),
  fedNova(),
  qFedAvg(),
  coordinateMedian(),
  trimmedMean(),
  krum({ byzantine: 1 }),
  krum({ byzantine: 1, keep: 3 }),
  bulyan({ byzantine: 1 }),
  geometricMedian(),
  clipNorm(fedAvg(), 0.5),
  clipNorm(coordinateMedian(), 0.5),
];

/** Enough for every strategy above. */
function updatesFrom(size: number, seed: number, count = 9): FitUpdate[] {
  let state = seed;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const vector = (): Float32Array => Float32Array.from({ length: size }, draw);
  return Array.from({ length: count }, (_, i) => ({
    participant: `p${i}`,
    examples: 1 + ((seed + 7 * i) % 50),
    delta: vector(),
    control: vector(),
    steps: 1 + (i % 4),
    loss: 0.1 + i / 10,
  }));
}

const bits = (values: Float32Array | Float64Array): string =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString("hex");

function run(strategy: Strategy, updates: readonly FitUpdate[], rounds = 1) {
  const size = updates[0]?.delta.length ?? 0;
  let parameters: Float32Array = new Float32Array(size).map((_, i) => i / 10);
  let state = strategy.initialState(size);
  for (let i = 0; i < rounds; i++) {
    ({ parameters, state } = strategy.aggregate({ parameters, updates, state }));
  }
  return { parameters, state };
}

describe.each(strategies.map((strategy) => [strategy.name, strategy] as const))(
  "%s keeps the contract",
  (_, strategy) => {
    test("the order of arrival changes no bit, over rounds", () => {
      const updates = updatesFrom(33, 5);
      const expected = run(strategy, updates, 3);
      for (const shift of [1, 4, 8]) {
        const moved = [...updates.slice(shift), ...updates.slice(0, shift)].reverse();
        const got = run(strategy, moved, 3);
        expect(bits(got.parameters)).toBe(bits(expected.parameters));
        for (const [name, value] of Object.entries(expected.state)) {
          expect(bits(got.state[name] as Float64Array)).toBe(bits(value));
        }
      }
    });

    test("changes nothing that it was given", () => {
      const updates = updatesFrom(10, 2);
      const parameters = new Float32Array(10).fill(1);
      const state = strategy.initialState(10);
      const copy = structuredClone({ updates, parameters, state });
      strategy.aggregate({ parameters, updates, state });
      expect({ updates, parameters, state }).toEqual(copy);
    });

    test("updates of nothing move nothing", () => {
      const still = updatesFrom(8, 3).map((update) => ({
        ...update,
        delta: new Float32Array(8),
        control: new Float32Array(8),
      }));
      const parameters = Float32Array.from({ length: 8 }, (_, i) => i - 3);
      const state = strategy.initialState(8);
      expect(strategy.aggregate({ parameters, updates: still, state }).parameters).toEqual(
        parameters,
      );
    });

    test.each<[string, (update: FitUpdate) => FitUpdate]>([
      ["of another size", (update) => ({ ...update, delta: new Float32Array(9) })],
      ["with NaN", (update) => ({ ...update, delta: new Float32Array(10).fill(Number.NaN) })],
      ["with infinity", (update) => ({ ...update, delta: new Float32Array(10).fill(1e39) })],
      ["without examples", (update) => ({ ...update, examples: 0 })],
      ["with half an example", (update) => ({ ...update, examples: 0.5 })],
    ])("an update %s is refused", (_name, change) => {
      const updates = updatesFrom(10, 4);
      const bad = updates.map((update, i) => (i === 3 ? change(update) : update));
      const input = { parameters: new Float32Array(10), state: strategy.initialState(10) };
      expect(() => strategy.aggregate({ ...input, updates: bad })).toThrow(/update of p3|weights/i);
      const twice = [...updates, updates[0] as FitUpdate];
      expect(() => strategy.aggregate({ ...input, updates: twice })).toThrow(/one participant/);
      expect(() => strategy.aggregate({ ...input, updates: [] })).toThrow(/needs/);
    });

    test("what it requires of an update must be there", () => {
      for (const field of strategy.requires) {
        const bad = updatesFrom(10, 4).map(({ [field]: _gone, ...rest }) => rest as FitUpdate);
        const input = { parameters: new Float32Array(10), state: strategy.initialState(10) };
        expect(() => strategy.aggregate({ ...input, updates: bad })).toThrow(/lacks/);
      }
    });
  },
);

/** One parameter a update, for formulas by hand. */
const scalar = (values: readonly number[], more: (i: number) => Partial<FitUpdate> = () => ({})) =>
  values.map(
    (value, i): FitUpdate => ({
      participant: String.fromCharCode(97 + i),
      examples: 1,
      delta: Float32Array.of(value),
      ...more(i),
    }),
  );

const after = (strategy: Strategy, updates: readonly FitUpdate[], from = 0, rounds = 1): number => {
  let parameters: Float32Array = Float32Array.of(from);
  let state = strategy.initialState(1);
  for (let i = 0; i < rounds; i++) {
    ({ parameters, state } = strategy.aggregate({ parameters, updates, state }));
  }
  return parameters[0] as number;
};

describe("known answers, by the papers' formulas", () => {
  test("FedAvg: Σ n_i Δ_i / n", () => {
    const updates = scalar([1, 4], (i) => ({ examples: i === 0 ? 3 : 1 }));
    expect(after(fedAvg(), updates, 10)).toBe(11.75);
    expect(after(fedAvg({ serverLearningRate: 0.5 }), updates, 10)).toBe(10.875);
    expect(after(fedProx({ proximalMu: 0.3 }), updates, 10)).toBe(11.75);
    expect(fedProx({ proximalMu: 0.3 }).clientConfig).toEqual({ proximalMu: 0.3 });
  });
  test("FedAvgM: v = β v + Δ", () => {
    // Δ = 1 in each of three rounds: v = 1, 1.5, 1.75.
    expect(after(fedAvgM({ momentum: 0.5 }), scalar([1, 1]), 0, 3)).toBeCloseTo(4.25, 6);
  });
  test("FedAdagrad, FedAdam, FedYogi: algorithm 2, two rounds by hand", () => {
    const [eta, tau, b1, b2] = [0.1, 0.5, 0.9, 0.99];
    const options = { serverLearningRate: eta, tau, beta1: b1, beta2: b2 };
    const by = (beta1: number, moment: (v: number, d2: number) => number): number => {
      let [x, m, v] = [0, 0, tau * tau];
      for (let i = 0; i < 2; i++) {
        m = beta1 * m + (1 - beta1) * 2;
        v = moment(v, 4);
        x += (eta * m) / (Math.sqrt(v) + tau);
      }
      return x;
    };
    const updates = scalar([1, 3]);
    expect(after(fedAdagrad({ ...options, beta1: 0 }), updates, 0, 2)).toBeCloseTo(
      by(0, (v, d) => v + d),
      6,
    );
    expect(after(fedAdam(options), updates, 0, 2)).toBeCloseTo(
      by(b1, (v, d) => b2 * v + (1 - b2) * d),
      6,
    );
    expect(after(fedYogi(options), updates, 0, 2)).toBeCloseTo(
      by(b1, (v, d) => v - (1 - b2) * d * Math.sign(v - d)),
      6,
    );
  });
  test("SCAFFOLD: x + η mean Δy, c + |S|/N mean Δc", () => {
    const updates = scalar([1, 3], () => ({ control: Float32Array.of(0.5) }));
    const strategy = scaffold({ population: 8, serverLearningRate: 0.5 });
    const { parameters, state } = strategy.aggregate({
      parameters: Float32Array.of(0),
      state: strategy.initialState(1),
      updates,
    });
    expect(parameters[0]).toBe(1);
    expect(state["control"]?.[0]).toBe(0.125);
  });
  test("FedNova: τ_eff Σ p_i Δ_i / τ_i", () => {
    // p = 1/2 each, τ = 1 and 3: τ_eff = 2; 2 (1/2 · 1 + 1/2 · 6/3) = 3.
    const updates = scalar([1, 6], (i) => ({ steps: i === 0 ? 1 : 3 }));
    expect(after(fedNova(), updates)).toBeCloseTo(3, 6);
    // With equal steps it is FedAvg.
    const equal = scalar([1, 6], () => ({ steps: 5 }));
    expect(after(fedNova(), equal)).toBeCloseTo(after(fedAvg(), equal), 6);
  });
  test("q-FedAvg: equation of algorithm 2; q = 0 is the plain mean", () => {
    const updates = scalar([1, 2], (i) => ({ loss: i === 0 ? 1 : 4 }));
    const [q, L] = [2, 3];
    const numerator = 1 ** q * L * 1 + 4 ** q * L * 2;
    const denominator = q * 1 * L * L * 1 + L * 1 + q * 4 * L * L * 4 + L * 16;
    expect(after(qFedAvg({ q, lipschitz: L }), updates)).toBeCloseTo(numerator / denominator, 6);
    expect(after(qFedAvg({ q: 0, lipschitz: L }), updates)).toBeCloseTo(1.5, 6);
  });
  test("median, trimmed mean", () => {
    expect(after(coordinateMedian(), scalar([5, 1, 100]))).toBe(5);
    expect(after(coordinateMedian(), scalar([5, 1, 100, 7]))).toBe(6);
    expect(after(trimmedMean({ beta: 0.25 }), scalar([5, 1, 100, 7]))).toBe(6);
    expect(after(trimmedMean({ beta: 0 }), scalar([5, 1, 100, 6]))).toBe(28);
  });
  test("Krum takes the update of least score, Multi-Krum the mean of the best", () => {
    // n = 5, f = 1: the 2 nearest count. Scores: 0: 1+4, 1: 1+1, 2: 1+4, 10: 64+81, 11: …
    const updates = scalar([0, 1, 2, 10, 30]);
    expect(after(krum({ byzantine: 1 }), updates)).toBe(1);
    expect(after(krum({ byzantine: 1, keep: 3 }), updates)).toBe(1);
    expect(() => after(krum({ byzantine: 2 }), updates)).toThrow(/needs 7/);
  });
  test("Bulyan: n − 2f chosen, the n − 4f nearest to their median averaged", () => {
    const updates = scalar([1, 2, 3, 4, 5, 6, 100]);
    // Without f = 1 outlier the five nearest stay; of these the three around the median.
    const value = after(bulyan({ byzantine: 1 }), updates);
    expect(value).toBeGreaterThanOrEqual(2);
    expect(value).toBeLessThanOrEqual(5);
    expect(() => after(bulyan({ byzantine: 2 }), updates)).toThrow(/needs 11/);
  });
  test("geometric median: the point of least distance, not the mean", () => {
    // On a line it is the median.
    expect(after(geometricMedian({ iterations: 200 }), scalar([0, 1, 100]))).toBeCloseTo(1, 2);
    const corner = [
      [0, 0],
      [1, 0],
      [0, 1],
    ].map(([x, y], i) => ({
      participant: String(i),
      examples: 1,
      delta: Float32Array.of(x as number, y as number),
    }));
    const strategy = geometricMedian({ iterations: 200 });
    const { parameters } = strategy.aggregate({
      parameters: new Float32Array(2),
      state: {},
      updates: corner,
    });
    // Fermat point of this triangle: (3 − √3) / 6.
    for (const value of parameters) expect(value).toBeCloseTo((3 - Math.sqrt(3)) / 6, 4);
  });
  test("clipping scales to the norm; staleness discounts by (1 + s)^−a", () => {
    const [update] = scalar([8]);
    expect(after(clipNorm(fedAvg(), 2), [update as FitUpdate])).toBe(2);
    expect(
      after(
        discountStale(fedAvg(), () => 3, 0.5),
        [update as FitUpdate],
      ),
    ).toBe(4);
    expect(norm(Float32Array.of(3, 4))).toBe(5);
  });
});

describe("adversaries among the participants", () => {
  const honest = (count: number): FitUpdate[] =>
    updatesFrom(50, 11, count).map((update) => ({
      ...update,
      examples: 10,
      delta: update.delta.map((value) => 1 + value / 100),
    }));
  const attacks: readonly (readonly [string, (update: FitUpdate) => FitUpdate])[] = [
    ["sign flip", (update) => ({ ...update, delta: update.delta.map((value) => -10 * value) })],
    ["scaling", (update) => ({ ...update, delta: update.delta.map((value) => 60 * value) })],
    [
      "one coordinate",
      (update) => ({ ...update, delta: update.delta.map((v, i) => (i === 7 ? -60 : v)) }),
    ],
  ];
  const distance = (strategy: Strategy, updates: readonly FitUpdate[]): number =>
    Math.max(
      ...strategy
        .aggregate({ parameters: new Float32Array(50), state: {}, updates })
        .parameters.map((value) => Math.abs(value - 1)),
    );

  test.each(attacks)("%s moves the average, and not the robust rules", (_, attack) => {
    const updates = honest(11).map((update, i) => (i < 2 ? attack(update) : update));
    expect(distance(fedAvg(), updates)).toBeGreaterThan(1);
    for (const strategy of [
      coordinateMedian(),
      trimmedMean({ beta: 0.2 }),
      krum({ byzantine: 2 }),
      krum({ byzantine: 2, keep: 5 }),
      bulyan({ byzantine: 2 }),
    ]) {
      expect([strategy.name, distance(strategy, updates) < 0.05]).toEqual([strategy.name, true]);
    }
  });

  test("clipping bounds what one participant can do", () => {
    const updates = honest(11).map((update, i) =>
      i < 1 ? (attacks[1]?.[1](update) ?? update) : update,
    );
    const bound = Math.sqrt(50) * 1.02;
    expect(distance(clipNorm(fedAvg(), bound), updates)).toBeLessThan(0.05);
  });
});

describe("exact sums", () => {
  test("any order and any pieces: the same bits, and within half a step of the true sum", () => {
    const update = fc.record({
      weight: fc.integer({ min: 1, max: 1000 }),
      values: fc.array(fc.float({ min: -60, max: 60, noNaN: true }), {
        minLength: 4,
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(fc.array(update, { minLength: 1, maxLength: 20 }), fc.nat(), (updates, turn) => {
        const whole = exactSumOf(updates, 4);
        const moved = [
          ...updates.slice(turn % updates.length),
          ...updates.slice(0, turn % updates.length),
        ];
        expect(bits(exactSumOf(moved.reverse(), 1))).toBe(bits(whole));
        for (let i = 0; i < 4; i++) {
          // Each product is within half a step of 2^-22 of its grid point; doubles add these exactly.
          const exact = updates.reduce(
            (sum, { weight, values }) => sum + weight * Math.fround(values[i] as number),
            0,
          );
          expect(Math.abs((whole[i] as number) - exact)).toBeLessThanOrEqual(
            updates.length * 2 ** -22,
          );
        }
      }),
    );
  });

  test("values and weights over the grid's bounds are refused", () => {
    const sum = exactSum(1);
    expect(() => sum.add(Float32Array.of(64.1), 1)).toThrow(/over 64/);
    expect(() => sum.add(Float32Array.of(Number.NaN), 1)).toThrow(/no number/);
    expect(() => sum.add(Float32Array.of(1, 2), 1)).toThrow(/more values/);
    expect(() => sum.beginUpdate(2 ** 24 + 1)).toThrow(/at most/);
    // The largest total that the bounds allow is still exact; a sum that refused is of no more use.
    const full = exactSum(1);
    full.beginUpdate(2 ** 24);
    expect(() => full.beginUpdate(1)).toThrow(/at most/);
    full.add(Float32Array.of(64), 2 ** 24);
    expect(full.values[0]).toBe(2 ** 30);
  });
});

function exactSumOf(
  updates: readonly { readonly weight: number; readonly values: readonly number[] }[],
  piece: number,
): Float64Array {
  const sum = exactSum(4);
  for (const { weight, values } of updates) {
    sum.beginUpdate(weight);
    const vector = Float32Array.from(values);
    for (let at = 0; at < 4; at += piece) sum.add(vector.subarray(at, at + piece), weight, at);
  }
  return sum.values;
}

describe("selection", () => {
  test("select and median are what sorting gives", () => {
    const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), {
      minLength: 1,
      maxLength: 60,
    });
    fc.assert(
      fc.property(values, fc.nat(), (list, at) => {
        const sorted = Float32Array.from(list).sort();
        const k = at % list.length;
        expect(select(Float32Array.from(list), k)).toBe(sorted[k]);
        const half = sorted.length >> 1;
        const middle =
          sorted.length % 2 === 1
            ? sorted[half]
            : ((sorted[half - 1] as number) + (sorted[half] as number)) / 2;
        expect(medianOf(Float32Array.from(list))).toBe(middle);
      }),
      { numRuns: 500 },
    );
  });
});
