/**
 * What the WASM backend of TF.js 4.22 lacks for training, does slowly, or does wrong. Registered for the whole process,
 * once, before the backend starts.
 */
import type { KernelFunc, Tensor, TensorInfo } from "@tensorflow/tfjs-core";
import * as tf from "@tensorflow/tfjs-core";
import { filterGradient, inputGradient, repaired } from "./convolution.ts";
import { filterGradient3d, inputGradient3d } from "./convolution3d.ts";
import {
  depthwiseFilterGradient,
  depthwiseInputGradient,
  tile,
  unsortedSegmentSum,
} from "./heap.ts";
import { maxPool3dGradient, maxPoolGradient } from "./pooling.ts";

const repairedBackends = new Set<string>();

export function registerWasmKernels(): void {
  if (repairedBackends.has("wasm")) return;
  repairedBackends.add("wasm");
  const absent: readonly (readonly [string, KernelFunc])[] = [
    [tf.Conv2DBackpropFilter, filterGradient],
    [tf.DepthwiseConv2dNativeBackpropFilter, depthwiseFilterGradient],
    [tf.DepthwiseConv2dNativeBackpropInput, depthwiseInputGradient],
    [tf.UnsortedSegmentSum, unsortedSegmentSum],
  ];
  for (const [kernelName, kernelFunc] of absent) {
    // A later TF.js may bring its own.
    if (tf.getKernel(kernelName, "wasm") == null) {
      tf.registerKernel({ kernelName, backendName: "wasm", kernelFunc });
    }
  }
  replace(tf.Conv2DBackpropInput, () => inputGradient);
  replace(tf.Tile, () => tile);
  replace(tf.MaxPoolGrad, () => maxPoolGradient);
  replace(tf.MaxPool3DGrad, () => maxPool3dGradient);
  replace(tf.Cast, booleans);
  replace(tf.Conv3DBackpropFilterV2, () => filterGradient3d);
  replace(tf.Conv3DBackpropInputV2, () => inputGradient3d);
  replace(tf.Conv2D, (upstream) => repaired(upstream, false));
  replace(tf.FusedConv2D, (upstream) => repaired(upstream, false));
  replace(tf.DepthwiseConv2dNative, (upstream) => repaired(upstream, true));
  replace(tf.FusedDepthwiseConv2D, (upstream) => repaired(upstream, true));
}

/** Upstream's casts to bool keep the low byte: 256 would be false, and true would be 7. */
function booleans(upstream: KernelFunc): KernelFunc {
  return (args) => {
    const { x } = args.inputs as unknown as { x: Tensor };
    const { dtype } = { ...args.attrs } as { dtype?: string };
    const wrong = dtype === "bool" && (x.dtype === "float32" || x.dtype === "int32");
    return wrong ? tf.tidy(() => tf.notEqual(x, tf.scalar(0, x.dtype))) : upstream(args);
  };
}

/** The cpu backend's two wrong gradients. */
export function registerCpuKernels(): void {
  if (repairedBackends.has("cpu")) return;
  repairedBackends.add("cpu");
  replace(tf.ResizeNearestNeighborGrad, oneByOne, "cpu");
  replace(tf.ResizeBilinearGrad, ofTheirShape, "cpu");
}

/** Upstream's swaps height and width in the shape of its output, not in the output. */
function ofTheirShape(upstream: KernelFunc): KernelFunc {
  return (args) => {
    const { images } = args.inputs as unknown as { images: Tensor };
    return tf.tidy(() => {
      const info = upstream(args) as TensorInfo;
      return tf.reshape(tf.engine().makeTensorFromTensorInfo(info), images.shape);
    });
  };
}

/** Upstream's reads dy with the batch stride of x: right for one image, so each is given alone. */
function oneByOne(upstream: KernelFunc): KernelFunc {
  return (args) => {
    const { images, dy } = args.inputs as unknown as { images: Tensor; dy: Tensor };
    return tf.tidy(() => {
      const count = images.shape[0] as number;
      const each = tf.unstack(images).map((image, i) => {
        const one = { images: tf.expandDims(image), dy: tf.slice(dy, i, 1) };
        const info = upstream({ ...args, inputs: one });
        return tf.engine().makeTensorFromTensorInfo(info as TensorInfo);
      });
      return count === 0 ? tf.zerosLike(images) : tf.concat(each);
    });
  };
}

function replace(
  kernelName: string,
  make: (upstream: KernelFunc) => KernelFunc,
  backendName: "wasm" | "cpu" = "wasm",
): void {
  const config = tf.getKernel(kernelName, backendName);
  tf.unregisterKernel(kernelName, backendName);
  tf.registerKernel({ ...config, kernelFunc: make(config.kernelFunc) });
}
