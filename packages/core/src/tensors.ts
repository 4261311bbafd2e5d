/**
 * Tensor frames: how numbers cross a channel or lie in a file without a copy.
 * `u8 dtype ‖ u8 rank ‖ u16 zero ‖ u32 dimension* (little-endian) ‖ little-endian elements`.
 */
import { CoreError } from "./errors.ts";
import { requireWithin } from "./limits.ts";

/** Element types with their size in bytes, in the order of their wire numbers. */
const dtypes = [
  ["bool", 1],
  ["uint8", 1],
  ["int8", 1],
  ["uint16", 2],
  ["int16", 2],
  ["uint32", 4],
  ["int32", 4],
  ["uint64", 8],
  ["int64", 8],
  ["float16", 2],
  ["bfloat16", 2],
  ["float32", 4],
  ["float64", 8],
] as const;

export type DType = (typeof dtypes)[number][0];

export interface Tensor {
  readonly dtype: DType;
  /** Dimensions, outermost first; empty for a scalar. */
  readonly shape: readonly number[];
  /** Elements in row-major order, little-endian, `product(shape) × element size` bytes. */
  readonly data: Uint8Array;
}

export interface TensorLimits {
  readonly maxRank: number;
  readonly maxBytes: number;
}

export const defaultTensorLimits: TensorLimits = { maxRank: 8, maxBytes: 1024 * 1024 * 1024 };

/** Bytes of one element. */
export function elementBytes(dtype: DType): number {
  const found = dtypes.find(([name]) => name === dtype);
  if (found === undefined) throw new CoreError("invalid-argument", `Unknown dtype ${dtype}.`);
  return found[1];
}

/** The frame in two parts, so that the data need not be copied: header, then `tensor.data`. */
export function encodeTensor(
  tensor: Tensor,
  limits: TensorLimits = defaultTensorLimits,
): readonly [Uint8Array<ArrayBuffer>, Uint8Array] {
  const header = new Uint8Array(4 + 4 * tensor.shape.length);
  const view = new DataView(header.buffer);
  header[0] = dtypes.findIndex(([name]) => name === tensor.dtype);
  header[1] = tensor.shape.length;
  tensor.shape.forEach((size, i) => {
    view.setUint32(4 + 4 * i, size, true);
  });
  const expected = byteLength(tensor.dtype, tensor.shape, limits);
  if (tensor.data.length !== expected) {
    throw new CoreError(
      "invalid-argument",
      `Shape [${tensor.shape.join(", ")}] of ${tensor.dtype} needs ${expected} bytes, got ${tensor.data.length}.`,
    );
  }
  return [header, tensor.data];
}

/** `data` is a view of the input. @throws CoreError `malformed` or `limit-exceeded`. */
export function decodeTensor(
  bytes: Uint8Array,
  limits: TensorLimits = defaultTensorLimits,
): Tensor {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 4) throw new CoreError("malformed", "Tensor header is truncated.");
  const dtype = dtypes[view.getUint8(0)]?.[0];
  const rank = view.getUint8(1);
  if (dtype === undefined || view.getUint16(2) !== 0) {
    throw new CoreError("malformed", "Tensor header has an unknown dtype or set reserved bytes.");
  }
  requireWithin("Tensor rank", rank, limits.maxRank);
  if (bytes.length < 4 + 4 * rank) throw new CoreError("malformed", "Tensor header is truncated.");
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i, true));
  const expected = byteLength(dtype, shape, limits);
  const data = bytes.subarray(4 + 4 * rank);
  if (data.length !== expected) {
    throw new CoreError("malformed", `Tensor needs ${expected} bytes of data, got ${data.length}.`);
  }
  return { dtype, shape, data };
}

function byteLength(dtype: DType, shape: readonly number[], limits: TensorLimits): number {
  // The rank travels in one byte.
  requireWithin("Tensor rank", shape.length, Math.min(limits.maxRank, 255));
  let bytes = elementBytes(dtype);
  let empty = false;
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 0 || size > 0xffff_ffff) {
      throw new CoreError("invalid-argument", `Tensor dimension ${size} is not a u32.`);
    }
    if (size === 0) empty = true;
    // Zeros aside, so that [2^32-1, 2^32-1, 0] does not pass as empty with absurd dimensions.
    else bytes *= size;
    requireWithin("Tensor bytes", bytes, limits.maxBytes);
  }
  return empty ? 0 : bytes;
}
