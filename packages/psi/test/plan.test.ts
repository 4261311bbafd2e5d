import { expect, test } from "vitest";
import { calibratePsi, type PsiCalibration, type PsiConfig, planPsi } from "../src/index.ts";
import { batchOf, config, linkPair, resultOf, runBoth } from "./support.ts";

const calibration: PsiCalibration = {
  engine: "node",
  multiply: 1e-5,
  hash: 1e-6,
  rest: 1e-7,
  keyed: 1e-7,
};
const range = (n: number): string[] => Array.from({ length: n }, (_, i) => `item-${i}`);

test.each<[string, Partial<PsiConfig>]>([
  ["ecdh, both", {}],
  ["ecdh, receiver", { resultTo: "receiver" }],
  ["cardinality", { mode: "cardinality" }],
  ["attested", { protocol: "attested" }],
  ["labels", { mode: "labels", resultTo: "receiver", labels: { columns: ["x"], maxBytes: 30 } }],
])("predicts the bytes that a run moves: %s", async (_, settings) => {
  const agreed = { ...config, ...settings };
  const sizes = { receiver: 300, sender: 170 };
  const plan = planPsi(agreed, sizes, calibration, 2);
  const pair = linkPair();
  const payload = async function* () {
    const { bytes, offsets } = batchOf(range(170));
    yield { ...batchOf(range(170)), payload: { bytes, offsets } };
  };
  const options = { config: agreed, teeTrust: "accepted" } as const;
  const [r] = await runBoth(
    pair,
    { items: range(300), ...options },
    { items: [], input: payload(), ...options },
  );
  expect(resultOf(r).matches).toBe(170);
  const control = [1, 2, 6, 7];
  const moved = (side: string): number =>
    pair.frames
      .filter(({ from, frame }) => from === side && !control.includes(frame[0] as number))
      .reduce((sum, { frame }) => sum + frame.length - 1, 0);
  expect(moved("receiver")).toBe(plan.bytes.toSender);
  expect(moved("sender")).toBe(plan.bytes.toReceiver);
});

test("more items, and fewer cores, take more", () => {
  const plan = (n: number, cores: number) =>
    planPsi({ ...config, maxItems: 100_000_000 }, { receiver: n, sender: n }, calibration, cores);
  const [small, large, narrow] = [plan(1_000_000, 4), plan(10_000_000, 4), plan(10_000_000, 1)];
  expect(large.seconds).toBeCloseTo(10 * small.seconds, 5);
  expect(narrow.seconds).toBeGreaterThan(large.seconds);
  expect(narrow.cpuSeconds.receiver).toBeCloseTo(large.cpuSeconds.receiver, 9);
  // Two multiplications for each of the own items at equal sizes.
  expect(small.cpuSeconds.receiver).toBeCloseTo(20 + 1 + 0.2, 9);
  expect(large.memoryBytes.receiver).toBeGreaterThan(small.memoryBytes.receiver);
});

test("a calibration has positive times", async () => {
  const measured = await calibratePsi();
  for (const name of ["multiply", "hash", "keyed"] as const) {
    expect(measured[name]).toBeGreaterThan(0);
  }
  expect(measured.rest).toBeGreaterThanOrEqual(0);
}, 60_000);
