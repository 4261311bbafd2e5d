/** Queues, batches, versions and swaps: every answer is the asker's own, of one whole model. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { manualClock, systemClock } from "@vivarium/core";
import { Secret, secretKeyWrapper } from "@vivarium/seal";
import type { Model } from "@vivarium/tensors";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBatcher, measureBatching, sealModel, type Values } from "../src/index.ts";
import { joinRows, splitRows } from "../src/values.ts";
import { coreOf, floats, freshDirectory, linearBytes, numbers, put, sigmoid } from "./support.ts";

/** Doubles its input; what it was given is kept. */
function doubling(
  options: { readonly ms?: number; readonly poison?: number } = {},
): Model & { batches: number[] } {
  const batches: number[] = [];
  return {
    batches,
    spec: {
      platform: "test",
      inputs: [{ name: "numbers", dtype: "float32", shape: [null, 2] }],
      outputs: [{ name: "out", dtype: "float32", shape: [null, 2] }],
    },
    async run(inputs) {
      const values = floats(inputs.get("numbers"));
      batches.push(values.length / 2);
      if (options.ms !== undefined) await new Promise((resolve) => setTimeout(resolve, options.ms));
      if (options.poison !== undefined && values.includes(options.poison))
        throw new Error(`poison ${values}`);
      const data = new Uint8Array(new Float32Array(values.map((value) => 2 * value)).buffer);
      return new Map([["out", { dtype: "float32", shape: [values.length / 2, 2], data }]]);
    },
    async [Symbol.asyncDispose]() {},
  };
}

describe("batches", () => {
  test("rows joined and split are the same rows", () => {
    const rows = fc.array(
      fc.array(fc.tuple(fc.float(), fc.float()), { minLength: 1, maxLength: 4 }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(rows, (requests) => {
        const all = requests.map((list) => numbers(...list));
        const parts = splitRows(
          joinRows(all),
          requests.map(({ length }) => length),
        );
        expect(parts).toEqual(all);
      }),
    );
    expect(() => splitRows(numbers([1, 2]), [1, 1])).toThrow(/another number of rows/);
  });

  test("answers of a batch are each asker's own", async () => {
    const model = doubling();
    const batcher = createBatcher(model, systemClock(), { maxRows: 8, maxDelayMs: 5 });
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => batcher.submit(numbers([i, -i]))),
    );
    for (const [i, answer] of answers.entries())
      expect(floats(answer.get("out"))).toEqual([2 * i, -2 * i]);
    expect(Math.max(...model.batches)).toBe(8);
    expect(model.batches.length).toBeLessThan(12);
  });

  test("one poisoned row costs its own asker an error, and nobody else", async () => {
    const batcher = createBatcher(doubling({ poison: 13 }), systemClock(), {
      maxRows: 8,
      maxDelayMs: 5,
    });
    const settled = await Promise.allSettled(
      [7, 13, 5].map((n) => batcher.submit(numbers([n, n]))),
    );
    expect(settled.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    const [, bad] = settled;
    expect(bad?.status === "rejected" && bad.reason).toMatchObject({ code: "failed" });
    // What the model says of its input stays inside.
    expect(String(bad?.status === "rejected" && bad.reason)).not.toContain("13");
  });

  test("a full queue refuses, a deadline that is over refuses, a cancelled request leaves", async () => {
    const clock = manualClock(1_000);
    const model = doubling({ ms: 20 });
    const batcher = createBatcher(model, clock, { maxRows: 1, maxDelayMs: 0, queue: 2 });
    const first = batcher.submit(numbers([1, 1]));
    const stop = new AbortController();
    const second = batcher.submit(numbers([2, 2]), { signal: stop.signal });
    const third = batcher.submit(numbers([3, 3]), { deadline: 1_500 });
    await expect(batcher.submit(numbers([4, 4]))).rejects.toMatchObject({ code: "overloaded" });
    stop.abort();
    await expect(second).rejects.toMatchObject({ code: "aborted" });
    clock.advance(1_000);
    expect(floats((await first).get("out"))).toEqual([2, 2]);
    await expect(third).rejects.toMatchObject({ code: "deadline" });
    expect(model.batches).toEqual([1]);
  });

  test("a busy client does not starve another one", async () => {
    const order: string[] = [];
    const batcher = createBatcher(doubling({ ms: 1 }), systemClock(), {
      maxRows: 1,
      maxDelayMs: 0,
    });
    const ask = (client: string, i: number): Promise<void> =>
      batcher.submit(numbers([i, i]), { client }).then(() => void order.push(client));
    const busy = Array.from({ length: 20 }, (_, i) => ask("busy", i));
    await Promise.all([...busy, ask("quiet", 0)]);
    expect(order.indexOf("quiet")).toBeLessThan(4);
  });

  test("inputs that do not fit never reach the model", async () => {
    const model = doubling();
    const batcher = createBatcher(model, systemClock());
    const bad: readonly Values[] = [
      new Map(),
      new Map([["other", numbers([1, 2]).get("numbers") as never]]),
      new Map([["numbers", { dtype: "float32", shape: [1, 3], data: new Uint8Array(12) }]]),
      new Map([["numbers", { dtype: "float32", shape: [2, 2], data: new Uint8Array(8) }]]),
      new Map([["numbers", { dtype: "float64", shape: [1, 2], data: new Uint8Array(16) }]]),
      new Map([["numbers", { dtype: "float32", shape: [0, 2], data: new Uint8Array(0) }]]),
      new Map([["numbers", { dtype: "text", shape: [1], values: ["x"] }]]),
    ];
    for (const inputs of bad) {
      await expect(batcher.submit(inputs)).rejects.toMatchObject({ code: "invalid-argument" });
    }
    expect(model.batches).toEqual([]);
  });

  test("the size is measured, and is 1 where batching does not pay", async () => {
    // The same time a row, whatever the batch.
    const slow: Model = {
      ...doubling(),
      run: async (inputs) => {
        const rows = inputs.get("numbers")?.shape[0] ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 4 * rows));
        return inputs;
      },
    };
    expect(await measureBatching(slow, numbers([1, 2]), 4)).toBe(1);
    // The same time a run, however many rows.
    expect(await measureBatching(doubling({ ms: 4 }), numbers([1, 2]), 4)).toBe(4);
  });
});

describe("versions", () => {
  test("newest by default, by number, by label, by policy", async () => {
    const root = freshDirectory();
    for (const version of [1, 2, 10]) put(root, "m", version, linearBytes(version));
    await using core = await coreOf(root, {
      policies: { m: { kind: "latest", count: 2 } },
      labels: { m: { stable: 2, canary: 10, old: 1 } },
    });
    expect(core.models().map(({ version }) => version)).toEqual([10, 2]);
    expect(core.find({ name: "m" }).version).toBe(10);
    expect(core.find({ name: "m", version: 2 }).version).toBe(2);
    expect(core.find({ name: "m", label: "stable" }).version).toBe(2);
    for (const ref of [
      { name: "m", version: 1 },
      { name: "m", label: "old" },
      { name: "m", label: "constructor" },
      { name: "x" },
    ]) {
      expect(() => core.find(ref)).toThrow(/There is no model|has no/);
    }
    const { outputs, model } = await core.predict({ name: "m", version: 2 }, numbers([1, -1]));
    expect(model.version).toBe(2);
    expect(floats(outputs.get("probabilities"))[1]).toBeCloseTo(sigmoid(2), 5);
  });

  test("a swap under load loses and mixes nothing; a broken version takes nothing away", async () => {
    const root = freshDirectory();
    put(root, "m", 1, linearBytes(1));
    await using core = await coreOf(root, {}, { maxRows: 4, maxDelayMs: 1 });
    let stop = false;
    const seen = new Set<number>();
    const load = Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = 0; !stop; i++) {
          const { model, outputs } = await core.predict({ name: "m" }, numbers([i % 7, 0]));
          const expected = sigmoid((i % 7) + model.version);
          expect(floats(outputs.get("probabilities"))[1]).toBeCloseTo(expected, 5);
          seen.add(model.version);
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    for (let version = 2; version <= 6; version++) {
      put(root, "m", version, linearBytes(version));
      const { loaded, unloaded } = await core.refresh();
      expect([loaded.map((m) => m.version), unloaded.map((m) => m.version)]).toEqual([
        [version],
        [version - 1],
      ]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    put(root, "m", 7, linearBytes(7).subarray(0, 50));
    const { broken, unloaded } = await core.refresh();
    expect(broken).toMatchObject([{ name: "m", version: 7 }]);
    expect(unloaded).toEqual([]);
    stop = true;
    await load;
    expect(core.find({ name: "m" }).version).toBe(6);
    expect(seen.size).toBeGreaterThan(2);
    expect(core.stats().failures).toBe(0);
  });

  test("a file of another digest than agreed is refused", async () => {
    const root = freshDirectory();
    put(root, "m", 1, linearBytes(1));
    const plain = await coreOf(root);
    const { digest } = plain.find({ name: "m" });
    await using good = await coreOf(root, { digests: { "m/1": digest } });
    expect(good.models()).toHaveLength(1);
    const path = join(root, "m", "1", "model.safetensors");
    const bytes = readFileSync(path);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
    writeFileSync(path, bytes);
    await using changed = await coreOf(root, { digests: { "m/1": digest } });
    expect(changed.models()).toEqual([]);
  });
});

describe("sealed models", () => {
  const wrapper = secretKeyWrapper("models", new Secret(new Uint8Array(32).fill(1)));

  test("open for their name and version under their key, and else not", async () => {
    const root = freshDirectory();
    const file = join(freshDirectory(), "m.safetensors");
    writeFileSync(file, linearBytes(3));
    const digest = await sealModel(file, { repository: root, name: "m", version: 2, wrapper });
    const sealed = join(root, "m", "2", "model.safetensors.sealed");
    expect(readFileSync(sealed).includes(readFileSync(file).subarray(8, 60))).toBe(false);
    await using core = await coreOf(root, { wrapper });
    expect(core.find({ name: "m" })).toMatchObject({ digest, sealed: true, version: 2 });

    const broken = async (options: Parameters<typeof coreOf>[1]): Promise<number> =>
      (await coreOf(root, options)).models().length;
    expect(await broken({})).toBe(0);
    expect(
      await broken({ wrapper: secretKeyWrapper("models", new Secret(new Uint8Array(32).fill(2))) }),
    ).toBe(0);
    // The same file as another version, and as another model.
    for (const place of [join(root, "m", "3"), join(root, "n", "2")]) {
      mkdirSync(place, { recursive: true });
      copyFileSync(sealed, join(place, "model.safetensors.sealed"));
    }
    await using moved = await coreOf(root, { wrapper });
    expect(moved.models().map(({ name, version }) => [name, version])).toEqual([]);
    rmSync(join(root, "m", "3"), { recursive: true });
    await using again = await coreOf(root, { wrapper });
    expect(again.models().map(({ name }) => name)).toEqual(["m"]);
    for (const at of [10, 200, readFileSync(sealed).length - 3]) {
      const bytes = readFileSync(sealed);
      bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(sealed, bytes);
      expect(await broken({ wrapper })).toBe(0);
      bytes[at] = (bytes[at] as number) ^ 1;
      writeFileSync(sealed, bytes);
    }
  });

  test("what is no model is not sealed, and plain beside sealed is nothing", async () => {
    const root = freshDirectory();
    const file = join(freshDirectory(), "m.safetensors");
    writeFileSync(file, "no model");
    const options = { repository: root, name: "m", version: 1, wrapper };
    await expect(sealModel(file, options)).rejects.toMatchObject({ domain: "tensors" });
    writeFileSync(file, linearBytes(3));
    await sealModel(file, options);
    put(root, "m", 1, linearBytes(4));
    await using core = await coreOf(root, { wrapper });
    expect(core.models()).toEqual([]);
    await expect(sealModel(file, { ...options, name: "../x" })).rejects.toMatchObject({
      code: "invalid-argument",
    });
  });
});
