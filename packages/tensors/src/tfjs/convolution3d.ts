/**
 * Gradients of three-dimensional convolutions. Upstream's leave out a term of a bound and round another down, so that
 * the input's gradient is wrong for every shape and the filter's for strides over one.
 * Shapes: x [n, d, h, w, ci], filter [kd, kh, kw, ci, co], dy [n, od, oh, ow, co].
 */
import type { KernelFunc, Tensor } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { heapKernelOf } from "./heap.ts";

type Shape5 = [number, number, number, number, number];
type Info = tf.backend_util.Conv3DInfo;

interface Attributes {
  readonly strides: number | [number, number, number];
  readonly pad: "same" | "valid";
  readonly filterShape: Shape5;
  readonly inputShape: Shape5;
}

function infoOf(xShape: Shape5, filterShape: Shape5, { strides, pad }: Attributes): Info {
  return tf.backend_util.computeConv3DInfo(xShape, filterShape, strides, 1, pad);
}

/** Calls back for each tap inside the input: element numbers of input, filter and output at channel 0. */
function eachTap(info: Info, visit: (x: number, w: number, dy: number) => void): void {
  const { padInfo, inDepth, inHeight, inWidth } = info;
  let dy = 0;
  for (let n = 0; n < info.batchSize; n++) {
    for (let d = 0; d < info.outDepth; d++) {
      for (let r = 0; r < info.outHeight; r++) {
        for (let c = 0; c < info.outWidth; c++, dy += info.outChannels) {
          for (let i = 0; i < info.filterDepth; i++) {
            const z = d * info.strideDepth - padInfo.front + i;
            if (z < 0 || z >= inDepth) continue;
            for (let j = 0; j < info.filterHeight; j++) {
              const y = r * info.strideHeight - padInfo.top + j;
              if (y < 0 || y >= inHeight) continue;
              for (let k = 0; k < info.filterWidth; k++) {
                const x = c * info.strideWidth - padInfo.left + k;
                if (x < 0 || x >= inWidth) continue;
                const tap = (i * info.filterHeight + j) * info.filterWidth + k;
                const at = ((n * inDepth + z) * inHeight + y) * inWidth + x;
                visit(at * info.inChannels, tap * info.inChannels * info.outChannels, dy);
              }
            }
          }
        }
      }
    }
  }
}

export const filterGradient3d: KernelFunc = heapKernelOf((heap, inputs, attributes) => {
  const { x, dy } = inputs as { x: Tensor; dy: Tensor };
  const attrs = attributes as unknown as Attributes;
  const info = infoOf(x.shape as Shape5, attrs.filterShape, attrs);
  const out = heap.makeOutput(attrs.filterShape, "float32");
  const dw = heap.typedArrayFromHeap(out);
  const xs = heap.typedArrayFromHeap(x);
  const dys = heap.typedArrayFromHeap(dy);
  dw.fill(0);
  const { inChannels, outChannels } = info;
  eachTap(info, (xAt, wAt, dyAt) => {
    for (let ci = 0, w = wAt; ci < inChannels; ci++) {
      const value = xs[xAt + ci] as number;
      for (let co = 0; co < outChannels; co++, w++) {
        dw[w] = (dw[w] as number) + value * (dys[dyAt + co] as number);
      }
    }
  });
  return out;
});

export const inputGradient3d: KernelFunc = heapKernelOf((heap, inputs, attributes) => {
  const { dy, filter } = inputs as { dy: Tensor; filter: Tensor };
  const attrs = attributes as unknown as Attributes;
  const info = infoOf(attrs.inputShape, filter.shape as Shape5, attrs);
  const out = heap.makeOutput(attrs.inputShape, "float32");
  const dx = heap.typedArrayFromHeap(out);
  const ws = heap.typedArrayFromHeap(filter);
  const dys = heap.typedArrayFromHeap(dy);
  dx.fill(0);
  const { inChannels, outChannels } = info;
  eachTap(info, (xAt, wAt, dyAt) => {
    for (let ci = 0, w = wAt; ci < inChannels; ci++) {
      let sum = 0;
      for (let co = 0; co < outChannels; co++, w++) {
        sum += (ws[w] as number) * (dys[dyAt + co] as number);
      }
      dx[xAt + ci] = (dx[xAt + ci] as number) + sum;
    }
  });
  return out;
});
