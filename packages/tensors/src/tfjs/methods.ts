/**
 * Methods on tensors that the layers and gradients of TF.js call, and that only its union package installs. That one
 * brings WebGL and 140 MB with it.
 */
import * as tf from "@tensorflow/tfjs-core";

type Method = (this: tf.Tensor, ...rest: readonly never[]) => unknown;

/** Each calls the function of its name with the tensor first. */
const named = {
  mean: tf.mean,
  reshape: tf.reshape,
  sign: tf.sign,
  slice: tf.slice,
  split: tf.split,
  square: tf.square,
  stridedSlice: tf.stridedSlice,
  sub: tf.sub,
  sum: tf.sum,
  transpose: tf.transpose,
} as const;

export function installMethods(): void {
  for (const [name, operation] of Object.entries(named)) {
    install(name, function (...rest) {
      return (operation as (...all: readonly unknown[]) => unknown)(this, ...rest);
    });
  }
  install("flatten", function () {
    return tf.reshape(this, [this.size]);
  });
}

function install(name: string, method: Method): void {
  // tfjs-node brings the union package, whose methods stay.
  if (name in tf.Tensor.prototype) return;
  Object.defineProperty(tf.Tensor.prototype, name, { value: method, configurable: true });
}
