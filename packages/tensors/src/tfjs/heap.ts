/** Kernels that are plain loops over the memory of the WASM module. */
import type { BackendWasm } from "@tensorflow/tfjs-backend-wasm";
import type { KernelFunc, Tensor, TensorInfo, TypedArray } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { TensorsError } from "../errors.ts";

type Inputs = Readonly<Record<string, Tensor>>;
type Kernel = (inputs: Inputs, attrs: Readonly<Record<string, unknown>>) => Tensor | TensorInfo;
type HeapKernel = (
  heap: BackendWasm,
  inputs: Inputs,
  attrs: Readonly<Record<string, unknown>>,
) => TensorInfo;

/** Inputs of kernels that operations call are tensors; TF.js types them as what inner calls may pass. */
export function kernelOf(kernel: Kernel): KernelFunc {
  return ({ inputs, attrs }) => kernel(inputs as unknown as Inputs, { ...attrs });
}

/** @param kernel gets the backend, whose memory it may read and write. */
export function heapKernelOf(kernel: HeapKernel): KernelFunc {
  return ({ inputs, attrs, backend }) =>
    kernel(backend as BackendWasm, inputs as unknown as Inputs, { ...attrs });
}

/**
 * The output first and the views afterwards: allocation may grow the memory, which detaches all views. Memory is not
 * cleared by the allocator.
 */
function output(
  heap: BackendWasm,
  shape: number[],
  dtype: tf.DataType,
): [TensorInfo, () => TypedArray] {
  const info = heap.makeOutput(shape, dtype);
  return [info, () => heap.typedArrayFromHeap(info)];
}

/** The gradient of gather and of embeddings: rows of `x` [n, ...] summed by their id; ids out of range are skipped. */
export const unsortedSegmentSum: KernelFunc = heapKernelOf((heap, inputs, attrs) => {
  const { x, segmentIds } = inputs as { x: Tensor; segmentIds: Tensor };
  const { numSegments } = attrs as { numSegments: number };
  const [info, values] = output(heap, [numSegments, ...x.shape.slice(1)], x.dtype);
  const out = values();
  const rows = heap.typedArrayFromHeap(x);
  const ids = heap.typedArrayFromHeap(segmentIds);
  out.fill(0);
  const width = ids.length === 0 ? 0 : rows.length / ids.length;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (!(id >= 0 && id < numSegments)) continue;
    for (let j = 0, to = id * width, from = i * width; j < width; j++, to++, from++) {
      out[to] = (out[to] as number) + (rows[from] as number);
    }
  }
  return info;
});

/** Upstream's goes through an index for each element; this copies blocks, each copy twice the last. */
export const tile: KernelFunc = heapKernelOf((heap, inputs, attrs) => {
  const { x } = inputs as { x: Tensor };
  const { reps } = attrs as { reps: number[] };
  if (!["float32", "int32", "bool"].includes(x.dtype)) {
    throw new TensorsError("unsupported", `Tiles of ${x.dtype} are not known to the wasm backend.`);
  }
  const shape = x.shape.map((size, i) => size * (reps[i] as number));
  const [info, values] = output(heap, shape, x.dtype);
  const out = values();
  if (out.length === 0) return info;
  const source = heap.typedArrayFromHeap(x);
  const rank = shape.length;
  if (rank === 0) {
    out.set(source);
    return info;
  }
  const inner = x.shape.map((_, i) => x.shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const write = (axis: number, from: number, to: number): number => {
    const size = x.shape[axis] as number;
    let length = 0;
    if (axis === rank - 1) {
      out.set(source.subarray(from, from + size), to);
      length = size;
    } else {
      for (let i = 0; i < size; i++) {
        length += write(axis + 1, from + i * (inner[axis] as number), to + length);
      }
    }
    const total = length * (reps[axis] as number);
    for (let done = length; done < total; done *= 2) {
      out.copyWithin(to + done, to, to + Math.min(done, total - done));
    }
    return total;
  };
  write(0, 0, 0);
  return info;
});

type Conv2DInfo = tf.backend_util.Conv2DInfo;
type Depthwise = {
  strides: number | [number, number];
  dilations: number | [number, number];
  pad: "same" | "valid" | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
  filterShape: [number, number, number, number];
  inputShape: [number, number, number, number];
};

function depthwiseInfo(
  xShape: readonly number[],
  filterShape: readonly number[],
  { strides, dilations, pad, dimRoundingMode }: Depthwise,
): Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(
    [...xShape] as Depthwise["inputShape"],
    [...filterShape] as Depthwise["filterShape"],
    strides,
    dilations,
    pad,
    dimRoundingMode,
    true,
  );
}

/** Calls back for each tap inside the input: element numbers of input, filter and output at channel 0. */
function eachTap(info: Conv2DInfo, visit: (x: number, w: number, dy: number) => void): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = info;
  const { filterHeight, filterWidth, strideHeight, strideWidth, padInfo } = info;
  for (let n = 0; n < batchSize; n++) {
    for (let p = 0; p < outHeight; p++) {
      for (let q = 0; q < outWidth; q++) {
        const dy = ((n * outHeight + p) * outWidth + q) * outChannels;
        for (let i = 0; i < filterHeight; i++) {
          const row = p * strideHeight - padInfo.top + i * info.dilationHeight;
          if (row < 0 || row >= inHeight) continue;
          for (let j = 0; j < filterWidth; j++) {
            const column = q * strideWidth - padInfo.left + j * info.dilationWidth;
            if (column < 0 || column >= inWidth) continue;
            const x = ((n * inHeight + row) * inWidth + column) * inChannels;
            visit(x, (i * filterWidth + j) * outChannels, dy);
          }
        }
      }
    }
  }
}

/** `dw[i,j,c,m] += x[n, p·s-top+i, q·s-left+j, c] · dy[n,p,q,c·M+m]`. */
export const depthwiseFilterGradient: KernelFunc = heapKernelOf((heap, inputs, attrs) => {
  const { x, dy } = inputs as { x: Tensor; dy: Tensor };
  const options = attrs as Depthwise;
  const info = depthwiseInfo(x.shape, options.filterShape, options);
  const [out, values] = output(heap, options.filterShape, "float32");
  const dw = values();
  const xs = heap.typedArrayFromHeap(x);
  const dys = heap.typedArrayFromHeap(dy);
  dw.fill(0);
  const channels = info.inChannels;
  const each = info.outChannels / channels;
  eachTap(info, (xAt, wAt, dyAt) => {
    for (let c = 0, o = 0; c < channels; c++) {
      const value = xs[xAt + c] as number;
      for (let m = 0; m < each; m++, o++) {
        dw[wAt + o] = (dw[wAt + o] as number) + value * (dys[dyAt + o] as number);
      }
    }
  });
  return out;
});

/** `dx[n, p·s-top+i, q·s-left+j, c] += Σm w[i,j,c,m] · dy[n,p,q,c·M+m]`. */
export const depthwiseInputGradient: KernelFunc = heapKernelOf((heap, inputs, attrs) => {
  const { dy, filter } = inputs as { dy: Tensor; filter: Tensor };
  const options = attrs as Depthwise;
  const info = depthwiseInfo(options.inputShape, filter.shape, options);
  const [out, values] = output(heap, options.inputShape, "float32");
  const dx = values();
  const ws = heap.typedArrayFromHeap(filter);
  const dys = heap.typedArrayFromHeap(dy);
  dx.fill(0);
  const channels = info.inChannels;
  const each = info.outChannels / channels;
  eachTap(info, (xAt, wAt, dyAt) => {
    for (let c = 0, o = 0; c < channels; c++) {
      let sum = 0;
      for (let m = 0; m < each; m++, o++) {
        sum += (ws[wAt + o] as number) * (dys[dyAt + o] as number);
      }
      dx[xAt + c] = (dx[xAt + c] as number) + sum;
    }
  });
  return out;
});
