/** Formats: round trips, what NumPy writes, and files that lie. */
import { spawnSync } from "node:child_process";
import { concat, type DType, elementBytes, type Tensor, utf8, VivariumError } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeNpy,
  decodeSafetensors,
  encodeLinear,
  encodeNpy,
  encodeSafetensors,
  hashText,
  linearModel,
} from "../src/index.ts";

const types: readonly DType[] = [
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
  "float32",
  "float64",
];
const tensor = fc
  .record({ dtype: fc.constantFrom(...types), shape: fc.array(fc.nat(4), { maxLength: 4 }) })
  .chain(({ dtype, shape }) => {
    const bytes = shape.reduce((product, size) => product * size, elementBytes(dtype));
    return fc
      .uint8Array({ minLength: bytes, maxLength: bytes })
      .map((data): Tensor => ({ dtype, shape, data }));
  });

describe("round trips", () => {
  test("safetensors", () => {
    const names = fc
      .string({ minLength: 1, maxLength: 12 })
      .filter(
        (name) => name !== "__metadata__" && name !== "__proto__" && !/\p{Surrogate}/u.test(name),
      );
    fc.assert(
      fc.property(fc.array(fc.tuple(names, tensor), { maxLength: 5 }), (entries) => {
        const file = { metadata: { a: "1" }, tensors: new Map(entries) };
        const back = decodeSafetensors(encodeSafetensors(file));
        expect(back.metadata).toEqual(file.metadata);
        expect(new Map([...back.tensors].sort())).toEqual(new Map([...file.tensors].sort()));
      }),
    );
  });
  test("NPY", () => {
    fc.assert(
      fc.property(tensor, (value) => {
        expect(decodeNpy(encodeNpy(value))).toEqual(value);
      }),
    );
  });
});

const python = spawnSync("python3", ["-c", "import numpy"]).status === 0;
if (!python)
  console.warn("SKIPPED: NPY against NumPy: no python3-numpy (apt-get install python3-numpy).");

test.skipIf(!python)("NumPy reads what we write, and writes what we read", () => {
  const ours = encodeNpy({
    dtype: "float32",
    shape: [2, 2],
    data: new Uint8Array(new Float32Array([1, 2, 3, 4.5]).buffer),
  });
  const script =
    "import sys,io,numpy as n; a=n.load(io.BytesIO(sys.stdin.buffer.read())); b=io.BytesIO(); n.save(b,(a*2).astype('<f8')); sys.stdout.buffer.write(b.getvalue())";
  const { stdout, status } = spawnSync("python3", ["-c", script], { input: ours });
  expect(status).toBe(0);
  const { dtype, shape, data } = decodeNpy(new Uint8Array(stdout));
  expect([dtype, shape]).toEqual(["float64", [2, 2]]);
  expect([...new Float64Array(data.slice().buffer)]).toEqual([2, 4, 6, 9]);
});

/** A safetensors file with a header of its own. */
function file(header: string, data = new Uint8Array(8), length = header.length): Uint8Array {
  const size = new Uint8Array(8);
  new DataView(size.buffer).setBigUint64(0, BigInt(length), true);
  return concat(size, utf8(header), data);
}
const a = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';

describe("safetensors that lie", () => {
  test("the honest one", () => expect(decodeSafetensors(file(`{${a}}`)).tensors.size).toBe(1));
  test.each<[string, Uint8Array]>([
    ["a header beyond the file", file(`{${a}}`, new Uint8Array(8), 10_000)],
    ["a header of 2^60 bytes", file(`{${a}}`, new Uint8Array(8), 2 ** 50)],
    ["bytes after the last tensor", file(`{${a}}`, new Uint8Array(9))],
    ["a tensor cut short", file(`{${a}}`, new Uint8Array(7))],
    ["a gap", file('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}')],
    ["an overlap", file(`{${a},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`)],
    ["a name twice", file(`{${a},${a}}`)],
    [
      "a name twice, once escaped",
      file(`{${a},"\\u0061":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`),
    ],
    ["another size than the shape", file('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}')],
    [
      "a shape that overflows",
      file('{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}'),
    ],
    ["negative offsets", file('{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}')],
    ["a type that is none", file('{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}')],
    [
      "a type from a prototype",
      file('{"a":{"dtype":"constructor","shape":[2],"data_offsets":[0,8]}}'),
    ],
    ["metadata that are numbers", file(`{"__metadata__":{"x":1},${a}}`)],
    ["an array as header", file("[]")],
    ["no JSON", file("{")],
    ["nothing", new Uint8Array(0)],
  ])("%s", (_, bytes) => {
    expect(() => decodeSafetensors(bytes)).toThrow(VivariumError);
  });
});

describe("NPY that lie", () => {
  const good = encodeNpy({ dtype: "uint8", shape: [2], data: Uint8Array.of(1, 2) });
  const changed = (from: string, to: string): Uint8Array => {
    const text = Buffer.from(good).toString("latin1");
    expect(text).toContain(from);
    return new Uint8Array(Buffer.from(text.replace(from, to.padEnd(from.length)), "latin1"));
  };
  test.each<[string, Uint8Array]>([
    ["another size", changed("(2,)", "(3,)")],
    ["Fortran order", changed("False", "True ")],
    ["objects", changed("|u1", "|O8")],
    ["code", changed("{'descr'", "{__import")],
    ["cut short", good.subarray(0, 20)],
    ["another magic", new Uint8Array(200)],
  ])("%s", (_, bytes) => {
    expect(() => decodeNpy(bytes)).toThrow(VivariumError);
  });
});

test("any byte changed gives a value or an error of ours", () => {
  const safetensors = encodeLinear("x", {
    classes: 2,
    features: 2,
    input: "numbers",
    parameters: new Float32Array(6),
  });
  const npy = encodeNpy({ dtype: "int16", shape: [2, 3], data: new Uint8Array(12) });
  for (const [bytes, decode] of [
    [safetensors, decodeSafetensors],
    [npy, decodeNpy],
  ] as const) {
    for (let i = 0; i < bytes.length; i++) {
      for (const mask of [1, 0x80, 0xff]) {
        const copy = new Uint8Array(bytes);
        copy[i] = (copy[i] as number) ^ mask;
        try {
          decode(copy);
        } catch (error) {
          expect(error).toBeInstanceOf(VivariumError);
        }
      }
    }
  }
});

describe("linear models", () => {
  const parameters = new Float32Array([1, 0, 0, 1, 0, 0.5]);
  const bytes = encodeLinear("plan", { classes: 2, features: 2, input: "numbers", parameters });
  const floats = (values: readonly number[]): Uint8Array =>
    new Uint8Array(new Float32Array(values).buffer);

  test("give softmax of weights and bias", async () => {
    await using model = linearModel(decodeSafetensors(bytes));
    const out = await model.run(
      new Map([["numbers", { dtype: "float32", shape: [2, 2], data: floats([2, 1, 0, 3]) }]]),
    );
    const probabilities = out.get("probabilities") as Tensor;
    const got = [...new Float32Array(probabilities.data.slice().buffer)];
    const expected = [2 - 1.5, 0 - 3.5].map((margin) => 1 / (1 + Math.exp(-margin)));
    expect(got[0]).toBeCloseTo(expected[0] as number, 6);
    expect(got[2]).toBeCloseTo(expected[1] as number, 6);
    expect([...new BigInt64Array((out.get("label") as Tensor).data.slice().buffer)]).toEqual([
      0n,
      1n,
    ]);
  });

  test("refuse inputs that do not fit, and numbers that are none", async () => {
    await using model = linearModel(decodeSafetensors(bytes));
    const bad: readonly (readonly [string, object])[] = [
      ["numbers", { dtype: "float32", shape: [1, 3], data: floats([1, 2, 3]) }],
      ["numbers", { dtype: "float64", shape: [1, 2], data: new Uint8Array(16) }],
      ["numbers", { dtype: "float32", shape: [1, 2], data: floats([Number.NaN, 0]) }],
      ["text", { dtype: "text", shape: [1], values: ["x"] }],
    ];
    for (const [name, value] of bad) {
      await expect(model.run(new Map([[name, value as Tensor]]))).rejects.toMatchObject({
        code: "invalid-argument",
      });
    }
  });

  test("hash text to buckets of length one", () => {
    const hashed = hashText("Free money, free MONEY!", 1024);
    const square = [...hashed.values()].reduce((sum, value) => sum + value * value, 0);
    expect(square).toBeCloseTo(1, 6);
    expect(hashText("", 8).size).toBe(0);
    expect(hashText("Free money, free MONEY!", 1024)).toEqual(hashed);
  });
});
