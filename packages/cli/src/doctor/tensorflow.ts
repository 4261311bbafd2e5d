/** Which TensorFlow.js backend trains and answers, by starting it and asking for a gradient with a known answer. */
import { TensorsError } from "@vivarium/tensors";
import { type Check, check } from "./check.ts";

export async function tensorflowCheck(): Promise<Check> {
  const name = "engine.tensorflow";
  try {
    // Loaded here only: it is big, and no other command needs it to start.
    const { openTensorFlow } = await import("@vivarium/tensors/tfjs");
    const { backend, reason, tf } = await openTensorFlow();
    // d/dw of the sum of a valid 2 x 2 convolution over ones is the number of its 3 x 3 places.
    const gradient = tf.tidy(() => {
      const images = tf.tensor4d(new Float32Array(16).fill(1), [1, 4, 4, 1]);
      const filter = tf.tensor4d(new Float32Array(4).fill(1), [2, 2, 1, 1]);
      const gradientOf = tf.grad((each) =>
        tf.sum(tf.conv2d(images, each as typeof filter, 1, "valid")),
      );
      return gradientOf(filter).dataSync();
    });
    if (!gradient.every((value) => value === 9)) {
      return check(name, "fail", `${backend}: wrong gradient`, "Do not train on this machine.");
    }
    return backend === "cpu"
      ? check(name, "warn", reason, "Networks train far slower. Install again with `npm ci`.")
      : check(name, "ok", reason);
  } catch (error) {
    if (!(error instanceof TensorsError)) throw error;
    return check(name, "fail", "none", error.message);
  }
}
