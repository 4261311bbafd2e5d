import { type Random, systemRandom, toHex } from "@vivarium/core";
import { selectEngine } from "@vivarium/curve25519";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBitmap, toBitmap } from "../src/bitmap.ts";
import { configDigest } from "../src/config.ts";
import { mapInOrder } from "../src/executor.ts";
import { poolExecutor, psiTasks } from "../src/index.ts";
import { cutBatches, InputDigest } from "../src/input.ts";
import { hashItems, sessionDst } from "../src/masking.ts";
import { matchTags } from "../src/match.ts";
import { randomPermutation, uniform } from "../src/shuffle.ts";
import { tagBytes, tagsOf } from "../src/truncate.ts";
import { batchOf, config, input, linkPair, resultOf, runBoth } from "./support.ts";

const random = systemRandom();

describe("tag length: ceil((40 + log2 n + log2 m) / 8), 10 to 32", () => {
  test.each([
    [0, 0, 10],
    [1, 1, 10],
    [1e5, 1e5, 10],
    [1e6, 1e6, 10],
    [2 ** 20, 2 ** 20, 10],
    [2 ** 20, 2 ** 20 + 1, 11],
    [1e7, 1e7, 11],
    [2 ** 24, 2 ** 24, 11],
    [2 ** 24 + 1, 2 ** 24, 12],
    [1e8, 1e8, 12],
    [1e9, 1e9, 13],
    [2 ** 53 - 1, 2 ** 53 - 1, 19],
  ])("%d x %d: %d bytes", (n, m, bytes) => {
    expect(tagBytes(n, m)).toBe(bytes);
    expect(tagBytes(m, n)).toBe(bytes);
  });
  test("tags depend on the session, and shorter ones are prefixes", () => {
    const points = random.bytes(64);
    const [a, b] = [random.bytes(32), random.bytes(32)];
    expect(toHex(tagsOf(points, a, 10))).not.toBe(toHex(tagsOf(points, b, 10)));
    expect(tagsOf(points, a, 16).subarray(0, 10)).toEqual(tagsOf(points, a, 10).subarray(0, 10));
    expect(() => tagsOf(points, a, 9)).toThrow();
  });
});

describe("shuffle", () => {
  test("is a permutation", () => {
    for (const n of [0, 1, 2, 50_000]) {
      const order = randomPermutation(n, random);
      expect([...order.slice().sort()].every((value, i) => value === i)).toBe(true);
    }
  });
  test("all 24 orders of four are equally likely", () => {
    const seen = new Map<string, number>();
    for (let i = 0; i < 4800; i++) {
      const key = randomPermutation(4, random).join();
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen.size).toBe(24);
    let chi = 0;
    for (const observed of seen.values()) chi += (observed - 200) ** 2 / 200;
    // 23 degrees of freedom: over 75 less than once in a million runs.
    expect(chi).toBeLessThan(75);
  });
  test("rejects the draws that a modulo would make biased", () => {
    const words = Uint32Array.of(0xffff_ffff, 0xffff_fffe, 7);
    const fixed: Random = {
      bytes: (length) => {
        const out = new Uint32Array(length / 4);
        out.set(words);
        return new Uint8Array(out.buffer);
      },
    };
    // 2^32 mod 3 = 1: only 0xffffffff is over; mod 0xfffffffe two are.
    expect(uniform(fixed)(3)).toBe(0xffff_fffe % 3);
    expect(uniform(fixed)(0xffff_fffe)).toBe(7);
  });
});

describe("matching", () => {
  test("matching equals a set's", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(80)), fc.uniqueArray(fc.nat(80)), (a, b) => {
        const tags = (values: number[]): Uint8Array =>
          Uint8Array.from(values.flatMap((v) => [v, v ^ 7, 0, 0, 0, 0, 0, 0, 0, 1]));
        const found = matchTags(tags(a), tags(b), 10, random);
        expect([...found.left]).toEqual(a.map((v) => Number(b.includes(v))));
        expect([...found.right]).toEqual(b.map((v) => Number(a.includes(v))));
        expect(found.count).toBe(a.filter((v) => b.includes(v)).length);
      }),
    );
  });
});

test("bitmaps: there and back, and only the exact form", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1), { maxLength: 40 }), (bits) => {
      const marks = Uint8Array.from(bits);
      const bitmap = toBitmap(marks);
      expect(fromBitmap(bitmap, bits.length)).toEqual(marks);
      expect(() => fromBitmap(Uint8Array.of(...bitmap, 0), bits.length)).toThrow();
      if (bits.length % 8 !== 0) {
        const spare = bitmap.slice();
        spare[spare.length - 1] = 0x80 | (spare[spare.length - 1] as number);
        expect(() => fromBitmap(spare, bits.length)).toThrow();
      }
    }),
  );
});

describe("input", () => {
  test("its digest does not depend on batches, and does on lengths and order", async () => {
    const digest = async (items: string[], size: number): Promise<string> => {
      const all = new InputDigest();
      for await (const batch of cutBatches(input(items, size))) all.add(batch);
      return toHex(all.digest());
    };
    const items = ["ab", "c", "", "d"];
    expect(await digest(items, 1)).toBe(await digest(items, 4));
    expect(await digest(["a", "bc", "", "d"], 4)).not.toBe(await digest(items, 4));
    expect(await digest(["c", "ab", "", "d"], 4)).not.toBe(await digest(items, 4));
    expect(await digest(["ab", "c", "d"], 4)).not.toBe(await digest(items, 4));
  });
  test("large batches are cut, malformed ones refused", async () => {
    const items = Array.from({ length: 5000 }, (_, i) => `${i}`);
    const sizes: number[] = [];
    for await (const batch of cutBatches(input(items, 5000))) sizes.push(batch.rows.length);
    expect(sizes).toEqual([2048, 2048, 904]);
    const wrong = async function* () {
      yield { ...batchOf(["a", "b"]), rows: Uint32Array.of(0) };
    };
    await expect(cutBatches(wrong()).next()).rejects.toMatchObject({ code: "invalid-argument" });
  });
});

test("sessions and configurations separate", () => {
  const engine = selectEngine().engine;
  const { bytes, offsets } = batchOf(["x"]);
  const [a, b] = [random.bytes(32), random.bytes(32)];
  expect(sessionDst(a).length).toBeLessThanOrEqual(255);
  expect(hashItems(engine, bytes, offsets, a)).not.toEqual(hashItems(engine, bytes, offsets, b));
  const base = toHex(configDigest(config));
  expect(toHex(configDigest({ ...config, minItems: 1 }))).not.toBe(base);
  expect(toHex(configDigest({ ...config, mode: "cardinality" }))).not.toBe(base);
});

test("mapInOrder keeps order and bound, and stops at a failure", async () => {
  let flying = 0;
  let most = 0;
  const out: number[] = [];
  const slow = async (n: number): Promise<number> => {
    most = Math.max(most, ++flying);
    await new Promise((resolve) => setTimeout(resolve, (7 * n) % 5));
    flying--;
    if (n === 30) throw new Error("30");
    return n;
  };
  for await (const n of mapInOrder([...Array(20).keys()], 3, slow)) out.push(n);
  expect(out).toEqual([...Array(20).keys()]);
  expect(most).toBe(3);
  const failing = mapInOrder([29, 30, 31, 32, 33], 2, slow);
  await expect(
    (async () => {
      for await (const n of failing) out.push(n);
    })(),
  ).rejects.toThrow("30");
  expect(flying).toBe(0);
});

test("a pool's batches come back in order", async () => {
  const pool = {
    async run<Output>(name: string, task: unknown): Promise<Output> {
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
      return psiTasks[name as keyof typeof psiTasks](task as never) as Output;
    },
  };
  const items = Array.from({ length: 4200 }, (_, i) => `i${i}`);
  const executor = poolExecutor(pool, { threads: 3 });
  const [r] = await runBoth(
    linkPair(),
    { items, executor },
    { items: items.slice(4000), executor },
  );
  expect([...(resultOf(r).rows ?? [])]).toEqual(items.slice(4000).map((_, i) => 4000 + i));
}, 30_000);
