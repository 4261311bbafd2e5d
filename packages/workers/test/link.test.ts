import { PassThrough } from "node:stream";
import { type Encodable, encode, u32 } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linkLimits } from "../src/limits.ts";
import { openLink } from "../src/link.ts";
import { printable, readFromWorker, readToWorker } from "../src/messages.ts";

function receive(chunks: readonly Uint8Array[], limits = linkLimits) {
  return new Promise<{ messages: Encodable[]; error: Error | undefined }>((resolve) => {
    const messages: Encodable[] = [];
    const stream = new PassThrough();
    openLink(stream, limits, {
      message: (value) => void messages.push(value),
      end: (error) => resolve({ messages, error }),
    });
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
  });
}

const framed = (value: Encodable) => {
  const body = encode(value);
  return new Uint8Array([...u32(body.length), ...body]);
};

describe("link", () => {
  test("messages arrive whole and in order, however the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string(), fc.integer(), fc.uint8Array()), { maxLength: 8 }),
        fc.integer({ min: 1, max: 7 }),
        async (values, step) => {
          const bytes = values.flatMap((value) => [...framed(value)]);
          const chunks: Uint8Array[] = [];
          for (let i = 0; i < bytes.length; i += step) {
            chunks.push(new Uint8Array(bytes.slice(i, i + step)));
          }
          const { messages, error } = await receive(chunks);
          expect(error).toBeUndefined();
          expect(messages).toEqual(values);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("a length over the limit is refused before the bytes come", async () => {
    const { error } = await receive([u32(101)], { ...linkLimits, maxBytes: 100 });
    expect(error).toMatchObject({ domain: "workers", code: "protocol" });
  });

  test("no bytes make it throw", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), async (body) => {
        const { error, messages } = await receive([u32(body.length), body]);
        if (error !== undefined) expect(error).toMatchObject({ code: "protocol" });
        else expect(messages.length).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("messages", () => {
  test("readers take nothing but the listed messages, without extra fields", () => {
    expect(readFromWorker({ type: "running" })).toEqual({ type: "running" });
    for (const value of [
      null,
      [],
      "running",
      { type: "running", extra: 1 },
      { type: "unknown" },
      { type: "evidence", id: -1, reportData: new Uint8Array(64) },
      { type: "evidence", id: 1, reportData: new Uint8Array(63) },
      { type: "evidence", id: 1, reportData: new Uint8Array(64), measured: {} },
      { type: "failure", error: { domain: "A b", code: "x", message: "" } },
      { type: "log", level: "trace", event: "x", fields: {} },
      { type: "log", level: "info", event: "x", fields: { a: [1] } },
    ]) {
      expect(() => readFromWorker(value)).toThrow(expect.objectContaining({ code: "protocol" }));
    }
    expect(() => readToWorker({ type: "start" })).toThrow(/fields/);
  });

  test("text from the other side cannot steer a terminal", () => {
    expect(printable("a\u001b[2Jb\u202ec\n", 10)).toBe("a\ufffd[2Jb\ufffdc\ufffd");
    expect(printable("abc", 2)).toBe("ab…");
  });
});
