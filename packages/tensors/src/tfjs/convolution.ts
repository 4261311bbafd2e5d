/**
 * Gradients of two-dimensional convolutions, composed of forward convolutions: those are fast in WASM (XNNPACK).
 * Shapes: x [n, h, w, ci], filter [kh, kw, ci, co], dy [n, oh, ow, co].
 */
import type { KernelFunc, Tensor4D } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { TensorsError } from "../errors.ts";
import { kernelOf } from "./heap.ts";

type Shape4 = [number, number, number, number];
type Conv2DInfo = tf.backend_util.Conv2DInfo;

interface Attributes {
  readonly strides: number | [number, number];
  readonly dilations?: number | [number, number];
  readonly pad: "same" | "valid" | number | tf.backend_util.ExplicitPadding;
  readonly dataFormat?: string;
  readonly dimRoundingMode?: "floor" | "round" | "ceil";
  readonly filterShape: Shape4;
  readonly inputShape: Shape4;
}

function infoOf(
  xShape: Shape4,
  filterShape: Shape4,
  attrs: Attributes,
  depthwise = false,
): Conv2DInfo {
  if (attrs.dataFormat !== undefined && attrs.dataFormat !== "NHWC") {
    throw new TensorsError(
      "unsupported",
      `Convolutions of ${attrs.dataFormat} are not known here; put the channels last (NHWC).`,
    );
  }
  return tf.backend_util.computeConv2DInfo(
    xShape,
    filterShape,
    attrs.strides,
    attrs.dilations ?? 1,
    attrs.pad,
    attrs.dimRoundingMode,
    depthwise,
  );
}

/** Zeros before and after rows and columns; negative numbers cut off. */
function padded(
  x: Tensor4D,
  [top, bottom]: readonly [number, number],
  [left, right]: readonly [number, number],
): Tensor4D {
  const [n, h, w, c] = x.shape;
  let out = x;
  if (Math.min(top, bottom, left, right) < 0) {
    const from: Shape4 = [0, Math.max(-top, 0), Math.max(-left, 0), 0];
    const rows = h + Math.min(top, 0) + Math.min(bottom, 0);
    const columns = w + Math.min(left, 0) + Math.min(right, 0);
    out = tf.slice(out, from, [n, rows, columns, c]);
  }
  const size = (value: number): number => Math.max(value, 0);
  if (Math.max(top, bottom, left, right) > 0) {
    out = tf.pad(out, [
      [0, 0],
      [size(top), size(bottom)],
      [size(left), size(right)],
      [0, 0],
    ]);
  }
  return out;
}

/** x padded, or cut, to exactly what the filter's steps reach. */
function reached(x: Tensor4D, info: Conv2DInfo): Tensor4D {
  const { padInfo, outHeight, outWidth, strideHeight, strideWidth, inHeight, inWidth } = info;
  const height = (outHeight - 1) * strideHeight + info.effectiveFilterHeight;
  const width = (outWidth - 1) * strideWidth + info.effectiveFilterWidth;
  return padded(
    x,
    [padInfo.top, height - padInfo.top - inHeight],
    [padInfo.left, width - padInfo.left - inWidth],
  );
}

/**
 * `dw[i,j,c,o] = Σ xpad[n, p·s+i, q·s+j, c] · dy[n,p,q,o]` is itself a convolution in which channels are the batch and
 * the batch the channels.
 */
export const filterGradient: KernelFunc = kernelOf((inputs, attributes) => {
  const { x, dy } = inputs as unknown as { x: Tensor4D; dy: Tensor4D };
  const attrs = attributes as unknown as Attributes;
  const info = infoOf(x.shape, attrs.filterShape, attrs);
  return tf.tidy(() => {
    const images = tf.transpose(reached(x, info), [3, 1, 2, 0]);
    const filters = tf.transpose(dy, [1, 2, 0, 3]);
    const strides: [number, number] = [info.strideHeight, info.strideWidth];
    return tf.transpose(tf.conv2d(images, filters, 1, "valid", "NHWC", strides), [1, 2, 0, 3]);
  });
});

/** dy with `stride - 1` zeros between rows and columns, without a scatter. */
function spread(dy: Tensor4D, strideHeight: number, strideWidth: number): Tensor4D {
  const [n, oh, ow, c] = dy.shape;
  let out = dy;
  if (strideHeight > 1) {
    const rows = tf.pad(tf.reshape(out, [n * oh, 1, ow, c]), [
      [0, 0],
      [0, strideHeight - 1],
      [0, 0],
      [0, 0],
    ]);
    out = tf.reshape(rows, [n, oh * strideHeight, ow, c]);
  }
  if (strideWidth > 1) {
    const height = out.shape[1];
    const columns = tf.pad(tf.reshape(out, [n * height, ow, 1, c]), [
      [0, 0],
      [0, 0],
      [0, strideWidth - 1],
      [0, 0],
    ]);
    out = tf.reshape(columns, [n, height, ow * strideWidth, c]);
  }
  return tf.slice(
    out,
    [0, 0, 0, 0],
    [n, (oh - 1) * strideHeight + 1, (ow - 1) * strideWidth + 1, c],
  );
}

/** The convolution of the spread dy with the turned filter; also the forward step of transposed convolutions. */
export const inputGradient: KernelFunc = kernelOf((inputs, attributes) => {
  const { dy, filter } = inputs as unknown as { dy: Tensor4D; filter: Tensor4D };
  const attrs = attributes as unknown as Attributes;
  const info = infoOf(attrs.inputShape, filter.shape, attrs);
  const { filterHeight, filterWidth, inHeight, inWidth, padInfo } = info;
  return tf.tidy(() => {
    const between = spread(dy, info.strideHeight, info.strideWidth);
    const top = filterHeight - 1 - padInfo.top;
    const left = filterWidth - 1 - padInfo.left;
    const wide = padded(
      between,
      [top, inHeight + filterHeight - 1 - top - between.shape[1]],
      [left, inWidth + filterWidth - 1 - left - between.shape[2]],
    );
    const turned = tf.transpose(tf.reverse(filter, [0, 1]), [0, 1, 3, 2]);
    return tf.conv2d(wide, turned, 1, "valid");
  });
});

/**
 * Upstream's forward convolution gives wrong values with strides over the filter's size and padding `same`
 * (tfjs#5907, tfjs#8405): those are padded here, and handed on as `valid`.
 */
export function repaired(upstream: KernelFunc, depthwise: boolean): KernelFunc {
  return (args) => {
    const { x, filter } = args.inputs as unknown as { x: Tensor4D; filter: Tensor4D };
    const attrs = args.attrs as unknown as Attributes;
    if (attrs.pad !== "same") return upstream(args);
    const info = infoOf(x.shape, filter.shape, attrs, depthwise);
    const long =
      info.strideHeight > info.effectiveFilterHeight ||
      info.strideWidth > info.effectiveFilterWidth;
    if (!long) return upstream(args);
    const cut = tf.tidy(() => tf.clone(reached(x, info)));
    const out = upstream({
      ...args,
      inputs: { ...args.inputs, x: cut },
      attrs: { ...args.attrs, pad: "valid" },
    });
    cut.dispose();
    return out;
  };
}
