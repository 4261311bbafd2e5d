/**
 * Gradients of maximum pooling. Upstream's begin their search for the largest value at the smallest positive number
 * (`numeric_limits<float>::min()`), so that windows of negative numbers lose their gradient to element 0.
 */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import type { KernelFunc, Tensor, TensorInfo } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { heapKernelOf } from "./heap.ts";

/** One axis of a pooling. */
interface Axis {
  readonly inSize: number;
  readonly outSize: number;
  readonly stride: number;
  readonly window: number;
  readonly before: number;
}

interface Attributes {
  readonly filterSize: number;
  readonly strides: number;
  readonly pad: "same" | "valid" | number;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
}

export const maxPoolGradient: KernelFunc = heapKernelOf((heap, inputs, attributes) => {
  const { dy, input } = inputs as { dy: Tensor; input: Tensor };
  const { filterSize, strides, pad, dimRoundingMode } = attributes as unknown as Attributes;
  const shape = input.shape as [number, number, number, number];
  const info = tf.backend_util.computePool2DInfo(
    shape,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const none: Axis = { inSize: 1, outSize: 1, stride: 1, window: 1, before: 0 };
  return gradient(heap, dy, input, [none, rowsOf(info), columnsOf(info)]);
});

export const maxPool3dGradient: KernelFunc = heapKernelOf((heap, inputs, attributes) => {
  const { dy, input } = inputs as { dy: Tensor; input: Tensor };
  const { filterSize, strides, pad, dimRoundingMode } = attributes as unknown as Attributes;
  const shape = input.shape as [number, number, number, number, number];
  const info = tf.backend_util.computePool3DInfo(
    shape,
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const depth: Axis = {
    inSize: info.inDepth,
    outSize: info.outDepth,
    stride: info.strideDepth,
    window: info.effectiveFilterDepth,
    before: info.padInfo.front,
  };
  return gradient(heap, dy, input, [depth, rowsOf(info), columnsOf(info)]);
});

type Info = tf.backend_util.Conv2DInfo | tf.backend_util.Conv3DInfo;

function rowsOf(info: Info): Axis {
  const { inHeight: inSize, outHeight: outSize, strideHeight: stride, padInfo } = info;
  return { inSize, outSize, stride, window: info.effectiveFilterHeight, before: padInfo.top };
}

function columnsOf(info: Info): Axis {
  const { inWidth: inSize, outWidth: outSize, strideWidth: stride, padInfo } = info;
  return { inSize, outSize, stride, window: info.effectiveFilterWidth, before: padInfo.left };
}

/** Each window's dy goes to its largest element, to the first of equal ones as in TensorFlow. */
function gradient(
  heap: BackendWasm,
  dy: Tensor,
  input: Tensor,
  [depth, rows, columns]: readonly [Axis, Axis, Axis],
): TensorInfo {
  const out = heap.makeOutput(input.shape, "float32");
  const dx = heap.typedArrayFromHeap(out);
  const xs = heap.typedArrayFromHeap(input);
  const dys = heap.typedArrayFromHeap(dy);
  dx.fill(0);
  const batch = input.shape[0] as number;
  const channels = input.shape.at(-1) as number;
  const best = new Float32Array(channels);
  const at = new Int32Array(channels);
  let from = 0;
  for (let n = 0; n < batch; n++) {
    for (let d = 0; d < depth.outSize; d++) {
      const [d0, d1] = windowOf(depth, d);
      for (let r = 0; r < rows.outSize; r++) {
        const [r0, r1] = windowOf(rows, r);
        for (let c = 0; c < columns.outSize; c++) {
          const [c0, c1] = windowOf(columns, c);
          best.fill(Number.NEGATIVE_INFINITY);
          at.fill(-1);
          for (let z = d0; z < d1; z++) {
            for (let y = r0; y < r1; y++) {
              const line = ((n * depth.inSize + z) * rows.inSize + y) * columns.inSize;
              for (let i = (line + c0) * channels, end = (line + c1) * channels; i < end; ) {
                for (let k = 0; k < channels; k++, i++) {
                  const value = xs[i] as number;
                  if (value > (best[k] as number)) {
                    best[k] = value;
                    at[k] = i;
                  }
                }
              }
            }
          }
          for (let k = 0; k < channels; k++, from++) {
            const to = at[k] as number;
            // Nothing is larger than -∞ in a window of NaN.
            if (to >= 0) dx[to] = (dx[to] as number) + (dys[from] as number);
          }
        }
      }
    }
  }
  return out;
}

function windowOf({ stride, before, window, inSize }: Axis, at: number): [number, number] {
  const begin = at * stride - before;
  return [Math.max(begin, 0), Math.min(begin + window, inSize)];
}
