import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fileCounter } from "../src/counter.ts";
import { Secret } from "../src/secret.ts";
import { secretKeyWrapper } from "../src/wrap.ts";

const code = (name: string) => expect.objectContaining({ code: name });

describe("Secret", () => {
  const bytes = new TextEncoder().encode("hunter2hunter2");

  test("never shows itself", () => {
    const secret = new Secret(bytes);
    const shown = [
      `${secret}`,
      String(secret),
      JSON.stringify({ secret }),
      inspect(secret),
      inspect({ deep: { secret } }, { showHidden: true, depth: 9 }),
      JSON.stringify(structuredClone(secret)),
      JSON.stringify(Object.entries(secret)),
    ];
    for (const text of shown) {
      expect(text).not.toMatch(/hunter|104/);
    }
    for (const text of shown.slice(0, 5)) expect(text).toContain("[secret]");
  });

  test("is zeroed on close and gone afterwards", () => {
    const secret = new Secret(bytes);
    const held = secret.reveal();
    expect(held).toEqual(bytes);
    expect(held.buffer).not.toBe(bytes.buffer);
    secret.close();
    secret.close();
    expect(held.every((b) => b === 0)).toBe(true);
    expect(() => secret.reveal()).toThrow(code("closed"));
    expect(() => secret.equals(new Secret(bytes))).toThrow(code("closed"));
  });

  test("is disposable, comparable, and never empty or huge", () => {
    let held: Uint8Array;
    {
      using secret = new Secret(bytes);
      held = secret.reveal();
      expect(secret.equals(new Secret(bytes))).toBe(true);
      expect(secret.equals(new Secret(bytes.subarray(1)))).toBe(false);
    }
    expect(held.every((b) => b === 0)).toBe(true);
    expect(() => new Secret(new Uint8Array(0))).toThrow(code("invalid-argument"));
    expect(() => new Secret(new Uint8Array(2 ** 20 + 1))).toThrow(code("invalid-argument"));
  });
});

describe("secretKeyWrapper", () => {
  const context = new Uint8Array([1]);
  const key = new Uint8Array(32).fill(3);
  const wrapper = secretKeyWrapper("a", new Secret(new Uint8Array(32).fill(1)));

  test("wraps freshly each time, and unwraps", async () => {
    const [one, two] = [await wrapper.wrap(key, context), await wrapper.wrap(key, context)];
    expect(one).not.toEqual(two);
    expect(await wrapper.unwrap(one, context)).toEqual(key);
  });

  test("every flipped byte, another context, name or secret is refused", async () => {
    const wrapped = await wrapper.wrap(key, context);
    const wrong = code("wrong-key");
    for (let i = 0; i < wrapped.length; i++) {
      const bad = new Uint8Array(wrapped);
      bad[i] = (bad[i] as number) ^ 1;
      await expect(wrapper.unwrap(bad, context)).rejects.toThrow(wrong);
    }
    await expect(wrapper.unwrap(wrapped, new Uint8Array([2]))).rejects.toThrow(wrong);
    await expect(wrapper.unwrap(wrapped.subarray(0, 40), context)).rejects.toThrow(wrong);
    for (const [name, fill] of [
      ["b", 1],
      ["a", 2],
    ] as const) {
      const other = secretKeyWrapper(name, new Secret(new Uint8Array(32).fill(fill)));
      await expect(other.unwrap(wrapped, context)).rejects.toThrow(wrong);
    }
  });

  test("a password is not a wrapping secret", () => {
    expect(() => secretKeyWrapper("a", new Secret(new Uint8Array(31)))).toThrow(
      code("invalid-argument"),
    );
  });
});

describe("fileCounter", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "counter-"));
  });
  afterAll(() => rm(directory, { recursive: true }));

  test("rises only, survives reopening, keeps one file", async () => {
    const counter = fileCounter(directory);
    expect(counter.rollbackProtection).toBe(false);
    expect(await counter.read("a")).toBe(0);
    await counter.advance("a", 1);
    await counter.advance("a", 10);
    await counter.advance("a-b", 3);
    expect(await fileCounter(directory).read("a")).toBe(10);
    expect(await counter.read("a-b")).toBe(3);
    for (const to of [10, 9, 1]) {
      await expect(counter.advance("a", to)).rejects.toThrow(code("rolled-back"));
    }
    expect((await readdir(directory)).sort()).toEqual(["a-b.3", "a.10"]);
  });

  test("of many that advance to one value, one succeeds", async () => {
    const attempts = await Promise.allSettled(
      Array.from({ length: 8 }, () => fileCounter(directory).advance("race", 5)),
    );
    expect(attempts.filter((a) => a.status === "fulfilled")).toHaveLength(1);
    expect(await fileCounter(directory).read("race")).toBe(5);
  });

  test("a crash between the two steps leaves the higher value", async () => {
    await writeFile(join(directory, "crash.4"), "");
    await writeFile(join(directory, "crash.5"), "");
    await writeFile(join(directory, "crash.007"), "");
    await writeFile(join(directory, "crash.9x"), "");
    const counter = fileCounter(directory);
    expect(await counter.read("crash")).toBe(5);
    await counter.advance("crash", 6);
    expect(await counter.read("crash")).toBe(6);
  });

  test("refuses names that are paths, and values that are not integers", async () => {
    const counter = fileCounter(directory);
    for (const name of ["", "../a", "a/b", "A", "a.1", "x".repeat(65)]) {
      await expect(counter.read(name)).rejects.toThrow(code("invalid-argument"));
    }
    for (const to of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
      await expect(counter.advance("b", to)).rejects.toThrow(code("invalid-argument"));
    }
    await expect(fileCounter(join(directory, "absent")).read("a")).rejects.toThrow(
      code("unavailable"),
    );
  });
});
