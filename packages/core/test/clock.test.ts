import { afterEach, describe, expect, test, vi } from "vitest";
import { manualClock, systemClock } from "../src/clock.ts";
import { silentLog } from "../src/log.ts";
import { systemRandom } from "../src/random.ts";

afterEach(() => {
  vi.useRealTimers();
});

describe("systemClock", () => {
  test("wall-clock time never goes back when the host sets it back", () => {
    vi.useFakeTimers({ now: 1_000_000 });
    const clock = systemClock();
    expect(clock.now()).toBe(1_000_000);
    vi.setSystemTime(5);
    expect(clock.now()).toBe(1_000_000);
    vi.setSystemTime(1_000_001);
    expect(clock.now()).toBe(1_000_001);
  });

  test("monotonic rises", () => {
    const clock = systemClock();
    const a = clock.monotonic();
    expect(clock.monotonic()).toBeGreaterThanOrEqual(a);
  });

  test("a delay over 2^31-1 ms fires at its time, not at once and not early", () => {
    vi.useFakeTimers();
    const run = vi.fn();
    const delay = 3 * 2 ** 31;
    systemClock().after(delay, run);
    vi.advanceTimersByTime(delay - 1);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledOnce();
  });

  test("cancels, also after the first step of a long delay", () => {
    vi.useFakeTimers();
    const run = vi.fn();
    const cancel = systemClock().after(2 ** 32, run);
    vi.advanceTimersByTime(2 ** 31 + 10);
    cancel();
    vi.advanceTimersByTime(2 ** 33);
    expect(run).not.toHaveBeenCalled();
  });
});

describe("manualClock", () => {
  test("runs what is due, in order, at its own time", () => {
    const clock = manualClock(100);
    const seen: [string, number, number][] = [];
    const note = (name: string) => () => void seen.push([name, clock.now(), clock.monotonic()]);
    clock.after(20, note("b"));
    clock.after(10, () => {
      note("a")();
      clock.after(5, note("nested"));
    });
    const cancel = clock.after(15, note("cancelled"));
    clock.after(31, note("later"));
    cancel();
    clock.advance(30);
    expect(seen).toEqual([
      ["a", 110, 10],
      ["nested", 115, 15],
      ["b", 120, 20],
    ]);
    expect([clock.now(), clock.monotonic()]).toEqual([130, 30]);
    clock.advance(1);
    expect(seen.at(-1)?.[0]).toBe("later");
  });

  test("the wall clock can be set back without the other", () => {
    const clock = manualClock(100);
    clock.setWallClock(3);
    expect([clock.now(), clock.monotonic()]).toEqual([3, 0]);
  });
});

test("systemRandom gives the length asked for, fresh each time, and no absurd one", () => {
  const random = systemRandom();
  for (const length of [0, 1, 32, 65_537, 1_048_576]) {
    expect(random.bytes(length)).toHaveLength(length);
  }
  expect(random.bytes(32)).not.toEqual(random.bytes(32));
  expect(
    random
      .bytes(100_000)
      .subarray(-32)
      .some((b) => b !== 0),
  ).toBe(true);
  for (const bad of [-1, 1_048_577, 1.5, Number.NaN]) {
    expect(() => random.bytes(bad)).toThrow(expect.objectContaining({ code: "invalid-argument" }));
  }
});

test("silentLog keeps nothing", () => {
  expect(silentLog.event("info", "x", { a: 1 })).toBeUndefined();
});
