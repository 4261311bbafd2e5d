import { inspect } from "node:util";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import {
  CoreError,
  coreErrorCodes,
  type ErrorClass,
  fromErrorRecord,
  type Tagged,
  throwIfAborted,
  toErrorRecord,
  VivariumError,
} from "../src/errors.ts";

class TestError extends VivariumError<"broken"> {
  override readonly name = "TestError";
  readonly domain = "test";
}
const testErrorClass: ErrorClass = {
  domain: "test",
  codes: ["broken"],
  create: (_, message) => new TestError("broken", message),
};

describe("toJSON", () => {
  test("has domain, code and message, and neither stack nor cause", () => {
    const cause = new Error("parsing failed near 'password=hunter2'");
    const error = new CoreError("malformed", "Not readable.", { cause });
    expect(error.cause).toBe(cause);
    const json = JSON.stringify({ error });
    expect(JSON.parse(json).error).toEqual({
      domain: "core",
      code: "malformed",
      message: "Not readable.",
    });
    expect(json).not.toContain("hunter2");
    expect(json).not.toContain("errors.test");
  });

  test("id, name and inheritance", () => {
    const error = new CoreError("aborted", "x");
    expect([error.id, error.name]).toEqual(["core/aborted", "CoreError"]);
    expect(error).toBeInstanceOf(VivariumError);
    expect("cause" in error).toBe(false);
    expect(inspect(error)).toContain("x");
  });
});

describe("records", () => {
  test("every code of core comes back as itself", () => {
    for (const code of coreErrorCodes) {
      const back = fromErrorRecord(toErrorRecord(new CoreError(code, "m")));
      expect(back).toBeInstanceOf(CoreError);
      expect([back.code, back.message]).toEqual([code, "m"]);
    }
  });

  test("errors that are not ours keep their message to themselves", () => {
    for (const thrown of [new Error("row 7: alice@example.org"), "alice", null, undefined, 7]) {
      const record = toErrorRecord(thrown, "The task failed.");
      expect(record).toEqual({
        domain: "core",
        code: "remote-failure",
        message: "The task failed.",
      });
    }
  });

  test("unknown domains and codes become remote-failure", () => {
    for (const record of [
      { domain: "unheard", code: "malformed", message: "m" },
      { domain: "core", code: "unheard", message: "m" },
      { domain: "core", code: "toString", message: "m" },
    ]) {
      expect(fromErrorRecord(record).code).toBe("remote-failure");
    }
  });

  test("a tagged result survives a real worker thread with its class and code", async () => {
    const record = toErrorRecord(new TestError("broken", "The belt broke."));
    const worker = new Worker(
      `const { parentPort, workerData } = require("node:worker_threads");
       parentPort.postMessage({ ok: false, error: workerData });`,
      { eval: true, workerData: record },
    );
    const result = await new Promise<Tagged<never>>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
    await worker.terminate();
    if (result.ok) throw new Error("unreachable");
    const error = fromErrorRecord(result.error, [testErrorClass]);
    expect(error).toBeInstanceOf(TestError);
    expect([error.id, error.message]).toEqual(["test/broken", "The belt broke."]);
    // What this is for: the clone of the error itself has lost both.
    const cloned = structuredClone(new TestError("broken", "x"));
    expect(cloned).not.toBeInstanceOf(TestError);
    expect("code" in cloned).toBe(false);
  });
});

test("throwIfAborted", () => {
  throwIfAborted(undefined);
  const controller = new AbortController();
  throwIfAborted(controller.signal);
  controller.abort("enough");
  expect(() => throwIfAborted(controller.signal)).toThrow(
    expect.objectContaining({ code: "aborted", cause: "enough" }),
  );
});
