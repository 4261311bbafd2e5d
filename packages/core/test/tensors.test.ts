import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat } from "../src/bytes.ts";
import { CoreError } from "../src/errors.ts";
import { type DType, decodeTensor, elementBytes, encodeTensor } from "../src/tensors.ts";

const dtypes: DType[] = [
  "bool",
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "uint64",
  "int64",
  "float16",
  "bfloat16",
  "float32",
  "float64",
];
const frame = (dtype: number, shape: number[], data: number): Uint8Array => {
  const out = new Uint8Array(4 + 4 * shape.length + data);
  const view = new DataView(out.buffer);
  out[0] = dtype;
  out[1] = shape.length;
  for (const [i, n] of shape.entries()) view.setUint32(4 + 4 * i, n, true);
  return out;
};
const code = (name: string) => expect.objectContaining({ code: name });

test("round trip of every dtype and shape", () => {
  const shapes = fc.array(fc.nat({ max: 4 }), { maxLength: 8 });
  fc.assert(
    fc.property(fc.constantFrom(...dtypes), shapes, (dtype, shape) => {
      const count = shape.reduce((a, b) => a * b, 1);
      fc.pre(count < 5000);
      const data = new Uint8Array(count * elementBytes(dtype)).map((_, i) => i);
      const bytes = concat(...encodeTensor({ dtype, shape, data }));
      expect(decodeTensor(bytes)).toEqual({ dtype, shape, data });
    }),
  );
});

test("golden form: a 2 × 3 of float32", () => {
  const [header] = encodeTensor({ dtype: "float32", shape: [2, 3], data: new Uint8Array(24) });
  expect(Buffer.from(header).toString("hex")).toBe("0b0200000200000003000000");
});

test("data is a view both ways, not a copy", () => {
  const data = new Uint8Array(8);
  expect(encodeTensor({ dtype: "int64", shape: [], data })[1]).toBe(data);
  const bytes = frame(8, [], 8);
  expect(decodeTensor(bytes).data.buffer).toBe(bytes.buffer);
});

describe("malformed frames are refused", () => {
  const cases: [string, Uint8Array, string][] = [
    ["empty", new Uint8Array(0), "malformed"],
    ["header cut", new Uint8Array(3), "malformed"],
    ["dimensions cut", frame(1, [2, 2], 0).subarray(0, 8), "malformed"],
    ["unknown dtype", frame(13, [], 1), "malformed"],
    ["too little data", frame(11, [2], 7), "malformed"],
    ["too much data", frame(11, [2], 9), "malformed"],
    ["rank over the limit", frame(1, Array(9).fill(1), 1), "limit-exceeded"],
    ["2^32-1 squared", frame(1, [0xffff_ffff, 0xffff_ffff], 0), "limit-exceeded"],
    [
      "absurd dimensions behind a zero",
      frame(1, [0, 0xffff_ffff, 0xffff_ffff], 0),
      "limit-exceeded",
    ],
    [
      "absurd dimensions before a zero",
      frame(1, [0xffff_ffff, 0xffff_ffff, 0], 0),
      "limit-exceeded",
    ],
    ["a product that wraps 64 bits", frame(8, Array(8).fill(0x8000_0000), 0), "limit-exceeded"],
  ];
  for (const [name, bytes, expected] of cases) {
    test(name, () => expect(() => decodeTensor(bytes)).toThrow(code(expected)));
  }

  test("set reserved bytes", () => {
    const bytes = frame(1, [1], 1);
    bytes[3] = 1;
    expect(() => decodeTensor(bytes)).toThrow(code("malformed"));
  });

  test("random bytes give a tensor that fits them, or a CoreError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          const { dtype, shape, data } = decodeTensor(bytes);
          expect(data.length).toBe(shape.reduce((a, b) => a * b, elementBytes(dtype)));
        } catch (error) {
          expect(error).toBeInstanceOf(CoreError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

test("encode refuses data that does not fit its shape, and bad shapes", () => {
  const data = new Uint8Array(4);
  expect(() => encodeTensor({ dtype: "float32", shape: [2], data })).toThrow(
    code("invalid-argument"),
  );
  for (const shape of [[-1], [1.5], [2 ** 32], [Number.NaN]]) {
    expect(() => encodeTensor({ dtype: "uint8", shape, data })).toThrow(CoreError);
  }
  expect(() => encodeTensor({ dtype: "text" as DType, shape: [], data })).toThrow(
    code("invalid-argument"),
  );
  const wide = {
    dtype: "uint8" as const,
    shape: Array<number>(256).fill(1),
    data: new Uint8Array(1),
  };
  expect(() => encodeTensor(wide, { maxRank: 1000, maxBytes: 10 })).toThrow(code("limit-exceeded"));
});
