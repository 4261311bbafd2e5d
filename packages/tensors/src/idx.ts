/**
 * IDX, the format of the MNIST files: two zero bytes, type, rank, big-endian dimensions, big-endian elements.
 * Source: http://yann.lecun.com/exdb/mnist/ (the IDX file format).
 */
import { type DType, elementBytes, type Tensor } from "@vivarium/core";
import { TensorsError } from "./errors.ts";

/** IDX has signed 16 and 32 bits and no unsigned ones. */
const types: ReadonlyMap<number, DType> = new Map([
  [0x08, "uint8"],
  [0x09, "int8"],
  [0x0b, "int16"],
  [0x0c, "int32"],
  [0x0d, "float32"],
  [0x0e, "float64"],
]);
const maxRank = 8;

/**
 * @returns elements in the order of `core`, little-endian: a view of the file where elements are single bytes.
 * @throws TensorsError `malformed`.
 */
export function decodeIdx(bytes: Uint8Array): Tensor {
  if (bytes.length < 4 || bytes[0] !== 0 || bytes[1] !== 0) fail("does not begin as one");
  const dtype = types.get(bytes[2] as number) ?? fail("has a type that IDX has not");
  const rank = bytes[3] as number;
  const start = 4 + 4 * rank;
  if (rank > maxRank || start > bytes.length) fail("ends inside its header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const width = elementBytes(dtype);
  const size = shape.reduce((product, dimension) => product * dimension, width);
  const data = bytes.subarray(start);
  if (!Number.isSafeInteger(size) || size !== data.length) {
    fail("has another number of bytes than its shape");
  }
  return { dtype, shape, data: swapped(data, width) };
}

/** @throws TensorsError `unsupported` for a type that IDX has not, `invalid-argument` for a size unlike the shape. */
export function encodeIdx({ dtype, shape, data }: Tensor): Uint8Array<ArrayBuffer> {
  const [type] = [...types].find(([, name]) => name === dtype) ?? [];
  if (type === undefined) throw new TensorsError("unsupported", `IDX has no ${dtype}.`);
  const width = elementBytes(dtype);
  const size = shape.reduce((product, dimension) => product * dimension, width);
  if (shape.length > maxRank || size !== data.length || shape.some((each) => each > 0xffff_ffff)) {
    throw new TensorsError("invalid-argument", "The tensor has another size than its shape.");
  }
  const out = new Uint8Array(4 + 4 * shape.length + data.length);
  out.set([0, 0, type, shape.length]);
  const view = new DataView(out.buffer);
  for (const [i, dimension] of shape.entries()) view.setUint32(4 + 4 * i, dimension);
  out.set(swapped(data, width), 4 + 4 * shape.length);
  return out;
}

/** Elements with their bytes the other way round. */
function swapped(data: Uint8Array, width: number): Uint8Array {
  if (width === 1) return data;
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += width) {
    for (let j = 0; j < width; j++) out[i + j] = data[i + width - 1 - j] as number;
  }
  return out;
}

function fail(what: string): never {
  throw new TensorsError("malformed", `The IDX file ${what}.`);
}
