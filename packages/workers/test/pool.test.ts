import { afterEach, describe, expect, test } from "vitest";
import { createPool, type Pool, type PoolOptions } from "../src/pool.ts";
import { fixture } from "./support.ts";

const pools: Pool[] = [];
const timeout = 30_000;

function pool(options: Partial<PoolOptions> = {}): Pool {
  const made = createPool({ file: fixture("tasks.mjs"), threads: 1, ...options });
  pools.push(made);
  return made;
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((made) => made.close()));
});

describe("pool", () => {
  test(
    "runs tasks by name; a path or an inherited name is no task",
    async () => {
      const made = pool();
      expect(await made.run("sum", new Float64Array([1, 2]))).toBe(3);
      for (const name of ["/etc/passwd", "constructor", "__proto__", "toString"]) {
        await expect(made.run(name, null)).rejects.toMatchObject({ code: "unknown-task" });
      }
    },
    timeout,
  );

  test(
    "moves buffers in and out instead of copying them",
    async () => {
      const input = new Float64Array([1, 2, 3]);
      const output = await pool().run("double", input, { transfer: [input.buffer] });
      expect(output).toEqual(new Float64Array([2, 4, 6]));
      expect(input.buffer.byteLength).toBe(0);
    },
    timeout,
  );

  test(
    "errors keep class and code; a foreign error's message stays in the thread",
    async () => {
      await expect(pool().run("fail", null)).rejects.toMatchObject({
        name: "WorkersError",
        code: "quota-exceeded",
        message: "as asked",
      });
      const error = await pool()
        .run("leak", null)
        .catch((caught: Error) => caught);
      expect(String(error)).toContain("TypeError");
      expect(String(error)).not.toContain("row of a user");
    },
    timeout,
  );

  test(
    "a full queue refuses; what was admitted still runs",
    async () => {
      const made = pool({ queueLength: 1 });
      const running = made.run("pause", 50);
      const waiting = made.run("pause", 1);
      await expect(made.run("pause", 1)).rejects.toMatchObject({ code: "quota-exceeded" });
      expect(await Promise.all([running, waiting])).toEqual([50, 1]);
    },
    timeout,
  );

  test(
    "cancels a running task with its thread, and a waiting one without",
    async () => {
      const made = pool();
      const running = new AbortController();
      const waiting = new AbortController();
      const spinning = made.run("spin", null, { signal: running.signal });
      const queued = made.run("sum", new Float64Array([1]), { signal: waiting.signal });
      waiting.abort();
      await expect(queued).rejects.toMatchObject({ code: "aborted" });
      running.abort();
      await expect(spinning).rejects.toMatchObject({ code: "aborted" });
      expect(await made.run("sum", new Float64Array([4]))).toBe(4);
    },
    timeout,
  );

  test(
    "a task over its time ends as timeout",
    async () => {
      await expect(pool().run("spin", null, { timeoutMs: 200 })).rejects.toMatchObject({
        code: "timeout",
      });
    },
    timeout,
  );

  test(
    "a thread that dies fails its task only",
    async () => {
      const made = pool();
      await expect(made.run("exit", null)).rejects.toMatchObject({ code: "task-crashed" });
      expect(await made.run("sum", new Float64Array([5]))).toBe(5);
    },
    timeout,
  );

  test(
    "close waits for what was admitted, and admits no more",
    async () => {
      const made = pool();
      const admitted = [made.run("pause", 30), made.run("pause", 1)];
      const closing = made.close();
      await expect(made.run("pause", 1)).rejects.toMatchObject({ code: "aborted" });
      await closing;
      expect(await Promise.all(admitted)).toEqual([30, 1]);
    },
    timeout,
  );

  test(
    "threads see nothing of the environment",
    async () => {
      expect(await pool().run("environment", null)).toEqual([]);
    },
    timeout,
  );

  test("refuses numbers out of range", () => {
    expect(() => pool({ threads: 0 })).toThrow(/threads/);
    expect(() => pool({ queueLength: -1 })).toThrow(/queueLength/);
  });
});
