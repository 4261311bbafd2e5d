import { expect, test } from "vitest";
import { steadyClock } from "../src/clock.ts";

test("time passes for expiry though the host stops or sets back the wall clock", () => {
  let wall = 1_000_000;
  let elapsed = 0;
  const clock = steadyClock({
    now: () => wall,
    monotonic: () => elapsed,
    after: () => () => {},
  });
  expect(clock.now()).toBe(1_000_000);
  elapsed = 5_000.7;
  expect(clock.now()).toBe(1_005_000);
  wall = 10;
  expect(clock.now()).toBe(1_005_000);
  wall = 2_000_000;
  expect(clock.now()).toBe(2_000_000);
  wall = 1_500_000;
  expect(clock.now()).toBe(2_000_000);
});
