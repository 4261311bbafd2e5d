/** Simulations: every strategy learns, skewed data cost something, and the baseline is the upper bound. */
import { describe, expect, test } from "vitest";
import { centralBaseline, simulate } from "../src/index.ts";
import { plan, rowsOf } from "./support.ts";

const data = [0, 1, 2, 3]
  .flatMap((owner) => rowsOf(owner, 100))
  .map((row) => JSON.stringify(row))
  .join("\n");
const shared = plan({ rounds: 8, minAvailable: 5, sampleSize: 5, minResponses: 5 });

describe("a simulation", () => {
  test.each([
    ["fedavg", {}],
    ["fedprox", { proximalMu: 0.05 }],
    ["scaffold", { population: 10 }],
    ["fedadam", { serverLearningRate: 0.5 }],
    ["median", {}],
  ])("with %s learns what the data hold", async (name, settings) => {
    const result = await simulate({
      plan: { ...shared, strategy: { name, settings, clipNorm: null } },
      data,
      testShare: 0.25,
      participants: 10,
      split: { kind: "iid" },
    });
    expect(result.history).toHaveLength(8);
    expect(result.sizes.reduce((a, b) => a + b, 0)).toBe(300);
    expect(result.history.at(-1)?.accuracy).toBeGreaterThan(0.85);
    expect(result.history.at(-1)?.examples).toBe(100);
  });

  test("is the same each time, and near the baseline where data are alike", async () => {
    const options = {
      plan: shared,
      data,
      testShare: 0.25,
      participants: 10,
      split: { kind: "iid" },
    } as const;
    const [first, second, central] = [
      await simulate(options),
      await simulate(options),
      await centralBaseline(options),
    ];
    expect(first.history).toEqual(second.history);
    expect(central.accuracy).toBeGreaterThan(0.9);
    expect(Math.abs(central.accuracy - (first.history.at(-1)?.accuracy ?? 0))).toBeLessThan(0.1);
  });

  test("deals skewed data, and says so by sizes", async () => {
    const options = { plan: shared, data, testShare: 0.25, participants: 10 };
    const shards = await simulate({ ...options, split: { kind: "shards", each: 1 } });
    expect(shards.history.at(-1)?.accuracy).toBeGreaterThan(0.6);
    const uneven = await simulate({ ...options, split: { kind: "dirichlet", alpha: 0.2 } });
    expect(Math.max(...uneven.sizes)).toBeGreaterThan(2 * Math.min(...uneven.sizes));
  });

  test("adds noise where the plan has it, and refuses data that are too few", async () => {
    const privacy = { clipNorm: 0.1, noiseMultiplier: 50, delta: 1e-5, maxEpsilon: 100 };
    const options = {
      plan: { ...shared, privacy },
      data,
      testShare: 0.25,
      participants: 10,
      split: { kind: "iid" },
    } as const;
    const noisy = await simulate(options);
    const quiet = await simulate({ ...options, plan: shared });
    expect(noisy.history.at(-1)?.loss).toBeGreaterThan(quiet.history.at(-1)?.loss as number);
    await expect(
      simulate({ ...options, data: data.split("\n")[0] as string }),
    ).rejects.toMatchObject({ code: "bad-data" });
  });
});
