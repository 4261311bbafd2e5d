import { manualClock } from "@vivarium/core";
import { describe, expect, it } from "vitest";
import { eventCatalogue } from "../src/catalogue.ts";
import { createLog, type LogOptions } from "../src/log.ts";

const canary = "canary-5f2e9a";

function capture(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const log = createLog({
    sink: (line) => lines.push(line),
    clock: manualClock(0),
    level: "debug",
    ...options,
  });
  return { log, lines };
}

describe("createLog", () => {
  it("writes JSON lines of declared fields", () => {
    const { log, lines } = capture();
    log.event("info", "channel.accepted", {
      channel: "c1",
      tee: "simulated",
      peer: "sha256:ab",
      isolation: "simulated",
    });
    expect(JSON.parse(lines[0] ?? "")).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      level: "info",
      event: "channel.accepted",
      channel: "c1",
      peer: "sha256:ab",
      tee: "simulated",
      isolation: "simulated",
    });
  });

  it("writes plain lines that a value cannot break", () => {
    const { log, lines } = capture({ format: "text" });
    log.event("warn", "channel.refused", {
      code: "refused",
      message: 'no\n1970 INFO channel.accepted \u001b[31m\u2028 "x" a=b',
    });
    expect(lines).toEqual([
      '1970-01-01T00:00:00.000Z WARN  channel.refused code=refused message="no\ufffd1970 INFO channel.accepted \ufffd[31m\ufffd \\"x\\" a=b"',
    ]);
  });

  it("drops a secret in whatever is not declared, and counts it", () => {
    for (const format of ["json", "text"] as const) {
      const { log, lines } = capture({ format });
      log.event("info", "channel.accepted", { channel: "c1", key: canary });
      log.event("info", "channel.accepted", {
        channel: `-----BEGIN ${canary}-----`,
        tee: "x".repeat(129),
      });
      log.event("info", "channel.accepted", {
        channel: { canary } as never,
        peer: [canary] as never,
        tee: new TextEncoder().encode(canary) as never,
      });
      log.event("warn", "worker.output-dropped", { lines: canary });
      log.event("warn", "worker.output-dropped", { lines: Number.NaN });
      log.event("info", "worker.stdout", { role: "receiver", line: canary });
      log.event("info", canary, { channel: canary });
      log.event("info", "toString", { channel: canary });
      log.event("info", "__proto__", { channel: canary });
      log.event("info", "channel.accepted", JSON.parse(`{"__proto__":"${canary}"}`));
      expect(lines).toHaveLength(7);
      expect(lines.join("\n")).not.toContain(canary);
      expect(log.dropped).toEqual({ events: 3, fields: 10, lines: 0 });
    }
  });

  it("keeps what workers print where asked, cut and without control characters", () => {
    const { log, lines } = capture({ workerOutput: true });
    log.event("info", "worker.stdout", { role: "receiver", line: `\u0007${"x".repeat(2000)}` });
    expect(JSON.parse(lines[0] ?? "").line).toBe(`\ufffd${"x".repeat(511)}…`);
  });

  it("writes from its level on, by default info, and corrects undeclared levels", () => {
    const { log, lines } = capture({ level: "error" });
    log.event("warn", "channel.refused");
    log.event("debug", "worker.refused");
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(["error"]);
  });

  it("survives its sink", () => {
    const { log } = capture({
      sink: () => {
        throw new Error("disk full");
      },
    });
    log.event("info", "worker.ready");
    expect(log.dropped.lines).toBe(1);
  });
});

describe("the catalogue", () => {
  it("has both languages, and no field that names a secret or clashes with a line's own", () => {
    for (const [name, entry] of Object.entries(eventCatalogue)) {
      expect(name).toMatch(/^[a-z]+\.[a-z-]+$/);
      expect(entry.meaning.en).toMatch(/\.$/);
      expect(entry.meaning.zh).toMatch(/。$/);
      for (const field of Object.keys(entry.fields)) {
        expect(field).toMatch(/^[a-z][a-zA-Z]*$/);
        expect(field).not.toMatch(
          /^(time|level|event)$|secret|key|password|scalar|row|item|token/i,
        );
      }
    }
  });
});
