import { describe, expect, it } from "vitest";
import type { Io } from "../src/io.ts";
import { createProgress, duration } from "../src/progress.ts";
import { fakeIo } from "./support.ts";

function setup(isTty: boolean, style: "text" | "json" = "text") {
  let now = 0;
  const { io, printed } = fakeIo("/", { now: () => now });
  const stderr = { ...io.stderr, isTty };
  const progress = createProgress({ ...io, stderr } satisfies Io, style);
  const at = (ms: number, done: number, phase = "mask", total = 1000) => {
    now = ms;
    progress.update({ phase, done, total, rate: 250, etaMs: 3000 });
  };
  return { progress, at, text: () => printed().err };
}

describe("progress", () => {
  it("is a line now and then where there is no terminal", () => {
    const { at, text, progress } = setup(false);
    at(0, 0);
    at(1000, 250);
    at(4999, 400);
    at(5000, 500);
    at(6000, 1000);
    at(6001, 1000);
    progress.finish();
    expect(text()).toBe(
      "mask: 0 of 1,000 (0%) 250/s, 3 s left\nmask: 500 of 1,000 (50%) 250/s, 3 s left\nmask: 1,000 of 1,000 (100%) 250/s\n",
    );
  });

  it("is a bar that redraws itself on a terminal, and ends before a note", () => {
    const { at, text, progress } = setup(true);
    at(0, 0);
    at(50, 10);
    at(200, 500);
    progress.note("Waiting.");
    at(300, 0, "match");
    progress.finish();
    progress.finish();
    const erase = "\r\u001b[2K";
    expect(text()).toBe(
      `${erase}mask         [........................]   0% 250/s, 3 s left${erase}mask         [############............]  50% 250/s, 3 s left\nWaiting.\n${erase}match        [........................]   0% 250/s, 3 s left\n`,
    );
  });

  it("is one object a line for machines", () => {
    const { at, text, progress } = setup(false, "json");
    at(0, 1);
    progress.note("Waiting.");
    const lines = text().trim().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { progress: { phase: "mask", done: 1, total: 1000, rate: 250, etaMs: 3000 } },
      { note: "Waiting." },
    ]);
  });

  it("draws a total that is not known, or exceeded, without nonsense", () => {
    const { at, text } = setup(true);
    at(0, 7, "read", 0);
    at(1000, 2000);
    expect(text()).toContain("read: 7 250/s, 3 s left");
    expect(text()).toContain("[########################] 100%");
  });
});

it.each([
  [0, "0 s"],
  [900, "1 s"],
  [200_000, "3 min 20 s"],
  [7_500_000, "2 h 5 min"],
])("duration of %i is %s", (ms, text) => expect(duration(ms)).toBe(text));
