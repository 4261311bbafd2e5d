/**
 * CIFAR's binary version: records of label bytes and three planes (red, green, blue) of 32 x 32 bytes.
 * Source: https://www.cs.toronto.edu/~kriz/cifar.html (binary version).
 */
import type { Tensor } from "@vivarium/core";
import { TensorsError } from "./errors.ts";

const pixels = 32 * 32;
const imageBytes = 3 * pixels;
/** Both sets have 60,000 images, in files of 10,000 or 50,000. */
const maxImages = 100_000;

export interface LabelledImages {
  /** uint8 [n, 32, 32, 3]: channels last, as TensorFlow wants them. */
  readonly images: Tensor;
  /** uint8 [n]. */
  readonly labels: Tensor;
}

/** CIFAR-10: one label byte, 0 to 9. @throws TensorsError `malformed` or `limit-exceeded`. */
export function decodeCifar10(bytes: Uint8Array): LabelledImages {
  return decode(bytes, "CIFAR-10", [10]);
}

/** CIFAR-100: a coarse label, which is checked and left out, and a fine one. @throws as {@link decodeCifar10}. */
export function decodeCifar100(bytes: Uint8Array): LabelledImages {
  return decode(bytes, "CIFAR-100", [20, 100]);
}

function decode(bytes: Uint8Array, name: string, classes: readonly number[]): LabelledImages {
  const record = classes.length + imageBytes;
  const count = bytes.length / record;
  if (!Number.isInteger(count)) {
    throw new TensorsError(
      "malformed",
      `The ${name} file has ${bytes.length} bytes, which is no multiple of ${record}.`,
    );
  }
  if (count > maxImages) {
    throw new TensorsError("limit-exceeded", `The ${name} file has over ${maxImages} images.`);
  }
  const images = new Uint8Array(count * imageBytes);
  const labels = new Uint8Array(count);
  for (let n = 0; n < count; n++) {
    const at = n * record;
    for (const [i, below] of classes.entries()) {
      const label = bytes[at + i] as number;
      if (label >= below) {
        throw new TensorsError("malformed", `Image ${n} of the ${name} file has label ${label}.`);
      }
      labels[n] = label;
    }
    const plane = at + classes.length;
    for (let p = 0; p < pixels; p++) {
      const to = n * imageBytes + 3 * p;
      images[to] = bytes[plane + p] as number;
      images[to + 1] = bytes[plane + pixels + p] as number;
      images[to + 2] = bytes[plane + 2 * pixels + p] as number;
    }
  }
  return {
    images: { dtype: "uint8", shape: [count, 32, 32, 3], data: images },
    labels: { dtype: "uint8", shape: [count], data: labels },
  };
}
