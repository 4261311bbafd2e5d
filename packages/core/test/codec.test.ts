import fc from "fast-check";
import { Packr, Unpackr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { decode, type Encodable, encode } from "../src/codec.ts";
import { CoreError } from "../src/errors.ts";
import { defaultDecodeLimits, unauthenticatedDecodeLimits } from "../src/limits.ts";
import { scan } from "../src/scan.ts";

const text = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .filter((s) => !/\p{Surrogate}/u.test(s));
const key = text.filter((s) => s !== "__proto__");
const value = fc.letrec<{ value: Encodable }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthIdentifier: "v" },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).filter((n) => !Object.is(n, -0)),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { depthIdentifier: "v", maxLength: 20 }),
    fc.dictionary(key, tie("value"), { depthIdentifier: "v", noNullPrototype: true, maxKeys: 20 }),
  ),
})).value;

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(CoreError);
    return (error as CoreError).code;
  }
  return "accepted";
}

const hex = (s: string) => Uint8Array.from(Buffer.from(s.replaceAll(" ", ""), "hex"));

describe("round trip", () => {
  test("every encodable value comes back", () => {
    fc.assert(
      fc.property(value, (v) => {
        expect(decode(encode(v))).toEqual(v);
      }),
      { numRuns: 500 },
    );
  });

  test("binary values are plain Uint8Arrays that share no memory with the input", () => {
    const bytes = encode([new Uint8Array([1, 2, 3])]);
    const [out] = decode(bytes) as [Uint8Array];
    expect(Object.getPrototypeOf(out)).toBe(Uint8Array.prototype);
    bytes.fill(0);
    expect(out).toEqual(new Uint8Array([1, 2, 3]));
  });

  test("long and non-ASCII strings and keys, a byte-order mark included", () => {
    for (const s of [
      "\ufeffa",
      "\ufeff",
      "é".repeat(5000),
      "x".repeat(70_000),
      "\u0000",
      "𝄞".repeat(40),
    ]) {
      expect(decode(encode(s))).toBe(s);
      expect(decode(encode({ [s]: 1 }))).toEqual({ [s]: 1 });
    }
    expect(decode(encode({ "\ufeffa": 1, a: 2 }))).toEqual({ "\ufeffa": 1, a: 2 });
  });

  test("integers outside the safe range are bigints, never rounded", () => {
    expect(decode(hex("cf 0020000000000001"))).toBe(2n ** 53n + 1n);
    expect(decode(hex("d3 ffdfffffffffffff"))).toBe(-(2n ** 53n) - 1n);
    expect(decode(hex("cf ffffffffffffffff"))).toBe(2n ** 64n - 1n);
    expect(decode(hex("cf 001fffffffffffff"))).toBe(2 ** 53 - 1);
  });
});

describe("encode refuses what decode would not give back", () => {
  const circular: unknown[] = [];
  circular.push(circular);
  const cases: Record<string, unknown> = {
    undefined: undefined,
    function: () => 1,
    symbol: Symbol("x"),
    date: new Date(0),
    map: new Map(),
    set: new Set(),
    instance: new (class Thing {})(),
    regexp: /x/,
    float64array: new Float64Array(1),
    "bigint over 64 bits": 2n ** 64n,
    "bigint under 64 bits": -(2n ** 63n) - 1n,
    "lone surrogate": "\ud800",
    "lone surrogate in a key": { "\udc00": 1 },
    "own __proto__": JSON.parse('{"__proto__": 1}'),
    "own __proto__ hiding a Date": Object.fromEntries([
      ["__proto__", 1],
      ["d", new Date(0)],
    ]),
    "sparse array": new Array(2),
    circular,
  };
  for (const [name, bad] of Object.entries(cases)) {
    test(name, () => {
      expect(refusal(() => encode(bad as Encodable))).toBe("invalid-argument");
      expect(refusal(() => encode([{ a: bad as Encodable }]))).toBe("invalid-argument");
    });
  }
});

describe("scan against msgpackr", () => {
  test("accepts whatever msgpackr packs of plain values", () => {
    const packr = new Packr({ useRecords: false, variableMapSize: true });
    fc.assert(
      fc.property(value, (v) => {
        expect(refusal(() => scan(packr.pack(v), defaultDecodeLimits))).toBe("accepted");
      }),
    );
  });

  test("what it accepts, msgpackr reads to the end", () => {
    const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: "bigint" });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        if (refusal(() => scan(bytes, defaultDecodeLimits)) === "accepted") {
          expect(() => unpackr.unpack(bytes)).not.toThrow();
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("every truncation is refused", () => {
    fc.assert(
      fc.property(value, (v) => {
        const bytes = encode(v);
        for (let i = 0; i < Math.min(bytes.length, 64); i++) {
          expect(refusal(() => decode(bytes.subarray(0, i)))).not.toBe("accepted");
        }
      }),
      { numRuns: 100 },
    );
  });

  test("every extension tag and the reserved one are refused", () => {
    for (const tag of [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]) {
      const bytes = new Uint8Array(40);
      bytes[0] = tag;
      expect(refusal(() => decode(bytes))).toBe("malformed");
      const inside = new Uint8Array(41);
      inside.set([0x91, tag]);
      expect(refusal(() => decode(inside))).toBe("malformed");
    }
  });

  test("msgpackr's own records, dates and maps are refused", () => {
    const records = new Packr({ useRecords: true }).pack({ a: 1 });
    const date = new Packr().pack(new Date(0));
    const bundled = new Packr({ bundleStrings: true, useRecords: false }).pack({
      a: "b".repeat(50),
    });
    for (const bytes of [records, date, bundled]) {
      expect(refusal(() => decode(bytes))).toBe("malformed");
    }
  });
});

describe("refused", () => {
  const cases: Record<string, [string, string]> = {
    "the empty message": ["", "malformed"],
    "bytes behind the message": ["c0 c0", "malformed"],
    "the same key twice": ["82 a161 01 a161 02", "malformed"],
    "the same key in two encodings": ["82 a161 01 d90161 02", "malformed"],
    __proto__: ["81 a9 5f5f70726f746f5f5f 80", "malformed"],
    "__proto__ in another encoding": ["81 d909 5f5f70726f746f5f5f 80", "malformed"],
    "a key that is a number": ["81 01 01", "malformed"],
    "a key that is binary": ["81 c40161 01", "malformed"],
    "a key that is an array": ["81 90 01", "malformed"],
    "a string that is not UTF-8": ["a1 ff", "malformed"],
    "an overlong encoding in a string": ["a2 c0af", "malformed"],
    "a surrogate in a string": ["a3 eda080", "malformed"],
    "a key that is not UTF-8": ["81 a1 ff 01", "malformed"],
    "an array that announces more than there is": ["dc ffff", "malformed"],
    "a map that announces more than there is": ["de 0100 c0", "malformed"],
    "an array over the limit": ["dd ffffffff", "limit-exceeded"],
    "a map over the limit": ["df ffffffff", "limit-exceeded"],
    "a string over the limit": ["db ffffffff", "limit-exceeded"],
    "binary over the limit": ["c6 ffffffff", "limit-exceeded"],
  };
  for (const [name, [bytes, code]] of Object.entries(cases)) {
    test(name, () => expect(refusal(() => decode(hex(bytes)))).toBe(code));
  }

  test("depth over the limit, arrays and maps", () => {
    const nested = (depth: number): Uint8Array => Uint8Array.of(...Array(depth).fill(0x91), 0xc0);
    expect(refusal(() => decode(nested(16)))).toBe("accepted");
    expect(refusal(() => decode(nested(17)))).toBe("limit-exceeded");
    expect(refusal(() => decode(nested(9), unauthenticatedDecodeLimits))).toBe("limit-exceeded");
    const maps = hex(`${"81 a161".repeat(17)} c0`);
    expect(refusal(() => decode(maps))).toBe("limit-exceeded");
  });

  test("each limit, at the limit and one over", () => {
    const limits = { ...defaultDecodeLimits };
    const at = (v: Encodable, name: keyof typeof limits, limit: number) => [
      refusal(() => decode(encode(v), { ...limits, [name]: limit })),
      refusal(() => decode(encode(v), { ...limits, [name]: limit - 1 })),
    ];
    const both = ["accepted", "limit-exceeded"];
    expect(at("abc", "maxStringBytes", 3)).toEqual(both);
    expect(at({ abc: 1 }, "maxStringBytes", 3)).toEqual(both);
    expect(at(new Uint8Array(3), "maxBinaryBytes", 3)).toEqual(both);
    expect(at([1, 2, 3], "maxArrayLength", 3)).toEqual(both);
    expect(at({ a: 1, b: 2 }, "maxMapLength", 2)).toEqual(both);
    expect(at([1, [2, 3]], "maxValues", 5)).toEqual(both);
    expect(at([[1]], "maxDepth", 2)).toEqual(both);
    expect(at("abc", "maxBytes", 4)).toEqual(both);
  });

  test("10 MB of empty arrays, in each shape, is refused before it takes memory", () => {
    const size = 10 * 1024 * 1024;
    const flat = new Uint8Array(size).fill(0x90);
    flat.set([0xdd, 0, 0x9f, 0xff, 0xfb]); // one array of 10,485,755 empty arrays
    const nested = new Uint8Array(size).fill(0x91);
    const grouped: number[] = [0xdc, 0x00, 0xa0];
    const group = new Uint8Array(65_535 + 3).fill(0x90);
    group.set([0xdc, 0xff, 0xff]);
    const wide = new Uint8Array(3 + 160 * group.length);
    wide.set(grouped);
    for (let i = 0; i < 160; i++) wide.set(group, 3 + i * group.length);
    for (const bomb of [flat, nested, wide]) {
      expect(bomb.length).toBeGreaterThan(10_000_000);
      expect(refusal(() => decode(bomb))).toBe("limit-exceeded");
    }
  });
});

describe("fuzz", () => {
  test("random bytes give a value or a CoreError, and few values", () => {
    const count = (v: Encodable): number => {
      if (v === null || typeof v !== "object" || v instanceof Uint8Array) return 1;
      return Object.values(v).reduce((sum: number, x) => sum + count(x as Encodable), 1);
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        let out: Encodable;
        try {
          out = decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CoreError);
          return;
        }
        expect(count(out)).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 5000 },
    );
  });

  test("one flipped byte never gives anything but a value or a CoreError", () => {
    fc.assert(
      fc.property(value, fc.nat(), fc.integer({ min: 1, max: 255 }), (v, at, mask) => {
        const bytes = encode(v);
        const i = at % bytes.length;
        bytes[i] = (bytes[i] as number) ^ mask;
        expect(["accepted", "malformed", "limit-exceeded"]).toContain(refusal(() => decode(bytes)));
        expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });
});
