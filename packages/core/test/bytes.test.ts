import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  concat,
  equalBytes,
  fromBase64Url,
  fromHex,
  fromUtf8,
  lengthPrefixed,
  toBase64Url,
  toHex,
  u32,
  u64,
  utf8,
} from "../src/bytes.ts";

const parts = fc.array(fc.uint8Array({ maxLength: 6 }), { maxLength: 5 });
const malformed = expect.objectContaining({ code: "malformed" });
const invalid = expect.objectContaining({ code: "invalid-argument" });

describe("lengthPrefixed", () => {
  test("is injective: different lists never give the same bytes", () => {
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const same = a.length === b.length && a.every((x, i) => equalBytes(x, b[i] as Uint8Array));
        expect(equalBytes(lengthPrefixed(...a), lengthPrefixed(...b))).toBe(same);
      }),
      { numRuns: 2000 },
    );
  });

  test("lists with the same concatenation differ", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 12 }),
        fc.nat(),
        fc.nat(),
        (all, i, j) => {
          const a = i % (all.length + 1);
          const b = j % (all.length + 1);
          const split = (at: number) => lengthPrefixed(all.subarray(0, at), all.subarray(at));
          expect(equalBytes(split(a), split(b))).toBe(a === b);
          expect(equalBytes(split(a), lengthPrefixed(all))).toBe(false);
        },
      ),
    );
  });

  test("has the documented form", () => {
    expect(toHex(lengthPrefixed("ab", new Uint8Array([255]), ""))).toBe(
      "00000003" + "000000026162" + "00000001ff" + "00000000",
    );
  });

  test("a lone surrogate is refused: it would hash like U+FFFD", () => {
    expect(() => lengthPrefixed("\ud800")).toThrow(invalid);
    expect(() => utf8("a\udfff")).toThrow(invalid);
    expect(lengthPrefixed("𝄞")).toHaveLength(12);
  });
});

describe("integers", () => {
  test("out of range is refused, never wrapped", () => {
    for (const bad of [-1, 2 ** 32, 1.5, Number.NaN]) expect(() => u32(bad)).toThrow(invalid);
    for (const bad of [-1, 2 ** 53, 0.5, -1n, 2n ** 64n]) expect(() => u64(bad)).toThrow(invalid);
    expect(toHex(u32(0xffff_ffff))).toBe("ffffffff");
    expect(toHex(u64(2n ** 64n - 1n))).toBe("ffffffffffffffff");
    expect(toHex(u64(1))).toBe("0000000000000001");
  });
});

describe("equalBytes", () => {
  test("agrees with a plain comparison", () => {
    const bytes = fc.uint8Array({ maxLength: 4 });
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0);
        expect(equalBytes(a, new Uint8Array(a))).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });

  test("sees a difference in every bit", () => {
    const a = new Uint8Array(32);
    for (let bit = 0; bit < 256; bit++) {
      const b = new Uint8Array(32);
      b[bit >> 3] = 1 << (bit & 7);
      expect(equalBytes(a, b)).toBe(false);
    }
  });
});

describe("text forms", () => {
  test("base64url and hex round trip, and agree with Node", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
        expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes);
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
    const large = new Uint8Array(100_000).fill(7);
    expect(fromBase64Url(toBase64Url(large))).toEqual(large);
  });

  test("one text per byte string: stray bits, padding and other alphabets are refused", () => {
    for (const bad of ["QQ==", "QR", "QUJ", "A", "a+b/", "a b", "QQ\n", "=", "é"]) {
      expect(() => fromBase64Url(bad)).toThrow(malformed);
    }
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."AQRZgw_-"), maxLength: 8 }), (text) => {
        let bytes: Uint8Array;
        try {
          bytes = fromBase64Url(text);
        } catch {
          return;
        }
        expect(toBase64Url(bytes)).toBe(text);
      }),
    );
    for (const bad of ["0", "0g", "0x00", " 00", "00\n"])
      expect(() => fromHex(bad)).toThrow(malformed);
  });

  test("UTF-8 is strict, and keeps a byte-order mark", () => {
    for (const bad of ["ff", "c0af", "eda080", "f4908080", "e282"]) {
      expect(() => fromUtf8(fromHex(bad))).toThrow(malformed);
    }
    expect(utf8(fromUtf8(fromHex("efbbbf61")))).toEqual(fromHex("efbbbf61"));
  });

  test("concat joins", () => {
    expect(concat(new Uint8Array([1]), new Uint8Array(0), new Uint8Array([2, 3]))).toEqual(
      new Uint8Array([1, 2, 3]),
    );
    expect(concat()).toHaveLength(0);
  });
});
