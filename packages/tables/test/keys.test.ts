import { lengthPrefixed } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeKeys, encodeKey, KeyEncoder } from "../src/keys.ts";

const limits = { maxKeyBytes: 1024, batchRows: 4 };
const plain = (n: number) => Array.from({ length: n }, (_, i) => ({ column: `k${i}` }));
const cell = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });

describe("key encoding", () => {
  it("is core's length-prefixed form", () => {
    fc.assert(
      fc.property(fc.array(cell, { minLength: 1, maxLength: 5 }), (values) => {
        expect(encodeKey(values, plain(values.length), limits)).toEqual(lengthPrefixed(...values));
      }),
    );
  });

  it("is injective: no two different tuples share an encoding", () => {
    const short = fc.string({
      unit: fc.constantFrom("a", "b", "\0", "é"),
      minLength: 1,
      maxLength: 3,
    });
    const tuple = fc.array(short, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(tuple, tuple, (a, b) => {
        const same = JSON.stringify(a) === JSON.stringify(b);
        const equal =
          String(encodeKey(a, plain(a.length), limits)) ===
          String(encodeKey(b, plain(b.length), limits));
        expect(equal).toBe(same);
      }),
      { numRuns: 1000 },
    );
    expect(encodeKey(["ab", "c"], plain(2), limits)).not.toEqual(
      encodeKey(["a", "bc"], plain(2), limits),
    );
  });

  it("leaves out missing and invalid rows, missing first", () => {
    const keys = [
      { column: "m", normalise: ["email"] },
      { column: "n", normalise: ["trim"] },
    ] as const;
    expect(encodeKey(["nobody", "x"], keys, limits)).toBe("invalid");
    expect(encodeKey(["nobody", " "], keys, limits)).toBe("missing");
    expect(encodeKey([null, "x"], keys, limits)).toBe("missing");
    expect(encodeKey(["", "x"], keys, limits)).toBe("missing");
    expect(encodeKey(["a@b.de", "x"], keys, limits)).toEqual(lengthPrefixed("a@b.de", "x"));
  });

  it("does not let a row that is left out touch its neighbours", () => {
    const encoder = new KeyEncoder(
      [{ column: "a" }, { column: "b", normalise: ["email"] }],
      limits,
    );
    encoder.add(0, () => "a@b.de");
    encoder.add(1, (i) => (i === 0 ? "x".repeat(500) : "nobody"));
    encoder.add(2, () => "c@d.de");
    const batch = encoder.take();
    expect([...batch.rows]).toEqual([0, 2]);
    expect(batch.bytes.subarray(batch.offsets[1], batch.offsets[2])).toEqual(
      lengthPrefixed("c@d.de", "c@d.de"),
    );
    expect(encoder.take().offsets).toEqual(new Uint32Array([0]));
  });

  it("refuses a key over the limit, and names the row", () => {
    for (const value of ["x".repeat(1017), "é".repeat(509), "x".repeat(100_000)]) {
      const encoder = new KeyEncoder(plain(1), limits);
      expect(() => encoder.add(7, () => value)).toThrow(/row 7 .*maxKeyBytes/);
    }
    expect(encodeKey(["x".repeat(1016)], plain(1), limits)).toHaveLength(1024);
  });

  it("describes keys by agreed names and versions of normalisers", () => {
    expect(
      describeKeys([
        { column: "E-Mail", as: "email", normalise: ["trim", "email"] },
        { column: "id" },
      ]),
    ).toEqual({
      encoding: "u32be count, u32be length-prefixed UTF-8/1",
      columns: [
        { name: "email", normalise: ["trim/1", "email/1"] },
        { name: "id", normalise: [] },
      ],
    });
    expect(() => describeKeys([])).toThrow(/1 to 16/);
    expect(() => describeKeys(plain(17))).toThrow(/1 to 16/);
    expect(() => describeKeys([{ column: "a" }, { column: "b", as: "a" }])).toThrow(/same name/);
  });
});
