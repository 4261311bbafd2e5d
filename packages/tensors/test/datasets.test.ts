/** Files of data sets, and how their rows are dealt out. */
import { type DType, elementBytes, type Tensor, VivariumError } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDraws } from "../src/draws.ts";
import {
  decodeCifar10,
  decodeCifar100,
  decodeIdx,
  encodeIdx,
  partitionDirichlet,
  partitionIid,
  partitionNatural,
  partitionShards,
  splitRows,
} from "../src/index.ts";

const types: readonly DType[] = ["uint8", "int8", "int16", "int32", "float32", "float64"];

describe("IDX", () => {
  test("round trips", () => {
    const tensor = fc
      .record({ dtype: fc.constantFrom(...types), shape: fc.array(fc.nat(4), { maxLength: 4 }) })
      .chain(({ dtype, shape }) => {
        const bytes = shape.reduce((product, size) => product * size, elementBytes(dtype));
        return fc
          .uint8Array({ minLength: bytes, maxLength: bytes })
          .map((data): Tensor => ({ dtype, shape, data }));
      });
    fc.assert(
      fc.property(tensor, (value) => {
        expect(decodeIdx(encodeIdx(value))).toEqual(value);
      }),
    );
  });

  test("reads big-endian numbers, written by hand", () => {
    const file = Uint8Array.of(0, 0, 0x0b, 1, 0, 0, 0, 2, 0x01, 0x02, 0xff, 0xfe);
    const { dtype, shape, data } = decodeIdx(file);
    expect([dtype, shape]).toEqual(["int16", [2]]);
    expect([...new Int16Array(data.slice().buffer)]).toEqual([258, -2]);
  });

  test.each<[string, number[]]>([
    ["nothing", []],
    ["another beginning", [1, 0, 8, 0, 7]],
    ["a type that is none", [0, 0, 0x0a, 0, 7, 7]],
    ["a header cut short", [0, 0, 8, 2, 0, 0, 0, 1]],
    ["a rank of 255", [0, 0, 8, 255, ...new Array<number>(1020).fill(0)]],
    ["a byte too few", [0, 0, 8, 1, 0, 0, 0, 2, 1]],
    ["a byte too many", [0, 0, 8, 1, 0, 0, 0, 1, 1, 1]],
    ["2^64 elements", [0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255, 1]],
  ])("refuses %s", (_, bytes) => {
    expect(() => decodeIdx(Uint8Array.from(bytes))).toThrow(VivariumError);
  });

  test("has no place for 64 bits or sizes that lie", () => {
    const data = new Uint8Array(8);
    expect(() => encodeIdx({ dtype: "int64", shape: [1], data })).toThrow(VivariumError);
    expect(() => encodeIdx({ dtype: "uint8", shape: [9], data })).toThrow(VivariumError);
  });

  test("any bytes give a tensor or an error of ours", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        if (bytes.length > 2) bytes.fill(0, 0, 2);
        try {
          const { shape, dtype, data } = decodeIdx(bytes);
          expect(data.length).toBe(shape.reduce((a, b) => a * b, elementBytes(dtype)));
        } catch (error) {
          expect(error).toBeInstanceOf(VivariumError);
        }
      }),
    );
  });
});

describe("CIFAR", () => {
  test("becomes images with channels last", () => {
    const file = new Uint8Array(2 * 3073);
    file[3073] = 9;
    file.set([1, 2], 3074);
    file[3074 + 1024] = 3;
    file[3074 + 2048] = 4;
    const { images, labels } = decodeCifar10(file);
    expect(images.shape).toEqual([2, 32, 32, 3]);
    expect([...labels.data]).toEqual([0, 9]);
    expect([...images.data.subarray(3072, 3078)]).toEqual([1, 3, 4, 2, 0, 0]);
  });

  test("of a hundred classes has the fine label", () => {
    const file = new Uint8Array(3074);
    file.set([19, 99, 5]);
    const { images, labels } = decodeCifar100(file);
    expect([labels.data[0], images.data[0]]).toEqual([99, 5]);
  });

  test.each<[string, () => unknown]>([
    ["a label of 10", () => decodeCifar10(new Uint8Array(3073).fill(10, 0, 1))],
    ["a coarse label of 20", () => decodeCifar100(new Uint8Array(3074).fill(20, 0, 1))],
    ["a fine label of 100", () => decodeCifar100(new Uint8Array(3074).fill(100, 1, 2))],
    ["half a record", () => decodeCifar10(new Uint8Array(4000))],
  ])("refuses %s", (_, decode) => expect(decode).toThrow(VivariumError));
});

const labels = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 10);
const all = Array.from(labels.keys());
const sortedRows = (parts: Iterable<Uint32Array>): number[] =>
  [...parts].flatMap((part) => [...part]).sort((a, b) => a - b);
/** Labels of each part, as a set. */
const kinds = (part: Uint32Array): Set<number> =>
  new Set([...part].map((row) => labels[row] as number));

describe("partitions", () => {
  const makers: readonly (readonly [string, (seed: number) => readonly Uint32Array[]])[] = [
    ["IID", (seed) => partitionIid(1000, 7, seed)],
    ["shards", (seed) => partitionShards(labels, 10, 2, seed)],
    ["Dirichlet", (seed) => partitionDirichlet(labels, { parties: 5, alpha: 0.5, seed })],
    [
      "splits",
      (seed) => {
        const { train, test } = splitRows(1000, 0.2, seed, labels);
        return [train, test];
      },
    ],
  ];
  test.each(makers)("%s: each row once, the same for a seed, another for another", (_, make) => {
    expect(sortedRows(make(1))).toEqual(all);
    expect(make(1)).toEqual(make(1));
    expect(make(1)).not.toEqual(make(2));
  });

  test("IID parts are of one size, and hold all labels", () => {
    const parts = partitionIid(1000, 7, 3);
    expect(new Set(parts.map(({ length }) => length))).toEqual(new Set([142, 143]));
    for (const part of parts) expect(kinds(part).size).toBe(10);
  });

  test("two shards are at most two labels where shards and labels agree", () => {
    const parts = partitionShards(labels, 10, 2, 5);
    for (const part of parts) {
      expect(part.length).toBe(100);
      expect(kinds(part).size).toBeLessThanOrEqual(2);
    }
    expect(parts.some((part) => kinds(part).size === 2)).toBe(true);
  });

  test("a smaller alpha is more uneven, and the least is kept", () => {
    /** Mean share of a part's commonest label. */
    const skew = (alpha: number): number => {
      const parts = partitionDirichlet(labels, { parties: 5, alpha, seed: 1, leastRows: 20 });
      for (const { length } of parts) expect(length).toBeGreaterThanOrEqual(20);
      const shares = parts.map((part) => {
        const counts = new Array<number>(10).fill(0);
        for (const row of part)
          counts[labels[row] as number] = (counts[labels[row] as number] ?? 0) + 1;
        return Math.max(...counts) / part.length;
      });
      return shares.reduce((sum, share) => sum + share, 0) / shares.length;
    };
    expect(skew(0.1)).toBeGreaterThan(skew(1));
    expect(skew(1)).toBeGreaterThan(skew(100));
    expect(skew(1000)).toBeLessThan(0.13);
  });

  test("natural parts are the keys' rows", () => {
    const parts = partitionNatural(["b", "a", "b", "__proto__"]);
    expect([...parts]).toEqual([
      ["b", Uint32Array.of(0, 2)],
      ["a", Uint32Array.of(1)],
      ["__proto__", Uint32Array.of(3)],
    ]);
  });

  test("splits keep the proportion of each label", () => {
    const { train, test: held } = splitRows(1000, 0.2, 1, labels);
    expect([train.length, held.length]).toEqual([800, 200]);
    for (let label = 0; label < 10; label++) {
      expect([...held].filter((row) => labels[row] === label).length).toBe(20);
    }
  });

  test.each<[string, () => unknown]>([
    ["no party", () => partitionIid(10, 0, 1)],
    ["half a row", () => partitionIid(1.5, 1, 1)],
    ["a seed over 32 bits", () => partitionIid(10, 1, 2 ** 32)],
    ["more shards than rows", () => partitionShards([1, 2], 2, 2, 1)],
    ["alpha 0", () => partitionDirichlet(labels, { parties: 2, alpha: 0, seed: 1 })],
    ["more parties than rows", () => partitionDirichlet([1], { parties: 2, alpha: 1, seed: 1 })],
    ["what no draw gives", () => partitionDirichlet([1, 1], { parties: 2, alpha: 1e-3, seed: 1 })],
    ["labels that are none", () => partitionShards([Number.NaN], 1, 1, 1)],
    ["a share of 2", () => splitRows(10, 2, 1)],
    ["other labels than rows", () => splitRows(10, 0.5, 1, [1])],
  ])("refuses %s", (_, make) => expect(make).toThrow(VivariumError));
});

test("gamma draws have the mean and variance of their shape", () => {
  const draws = createDraws(1);
  for (const shape of [0.3, 1, 4]) {
    const values = Float64Array.from({ length: 40_000 }, () => draws.gamma(shape));
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    expect(Math.abs(mean / shape - 1)).toBeLessThan(0.05);
    expect(Math.abs(variance / shape - 1)).toBeLessThan(0.1);
  }
});
