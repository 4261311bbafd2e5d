/**
 * Softmax regression on rows of numbers, or on hashed words: what federated runs of kind `linear` write as
 * safetensors (`weight` [classes, features], `bias` [classes], metadata `model: linear` and `input`).
 */
import type { Tensor } from "@vivarium/core";
import type { Model, ModelSpec, Value } from "./engine.ts";
import { TensorsError } from "./errors.ts";
import { encodeSafetensors, type TensorFile } from "./safetensors.ts";
import { hashText } from "./text.ts";

export interface LinearWeights {
  readonly classes: number;
  readonly features: number;
  readonly input: "text" | "numbers";
  /** [classes, features], then [classes]. */
  readonly parameters: Float32Array;
}

/** Numbers as their bytes, little-endian, without a copy. */
export function bytesOfFloats(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Numbers of a float32 tensor, copied: views of a file need not be aligned. */
export function floatsOf({ data }: Tensor): Float32Array<ArrayBuffer> {
  return new Float32Array(data.slice().buffer);
}

/** @param name of what made the model, in its metadata. */
export function encodeLinear(name: string, weights: LinearWeights): Uint8Array<ArrayBuffer> {
  const { classes, features, input, parameters } = weights;
  const bytes = bytesOfFloats(parameters);
  const split = 4 * classes * features;
  return encodeSafetensors({
    metadata: { plan: name, model: "linear", input },
    tensors: new Map([
      ["weight", { dtype: "float32", shape: [classes, features], data: bytes.subarray(0, split) }],
      ["bias", { dtype: "float32", shape: [classes], data: bytes.subarray(split) }],
    ]),
  });
}

/** @throws TensorsError `unsupported` for a file that is no linear model, `malformed` for one that is broken. */
export function linearModel({ metadata, tensors }: TensorFile): Model {
  const { model, input } = metadata;
  const weight = tensors.get("weight");
  const bias = tensors.get("bias");
  if (model !== "linear" || (input !== "text" && input !== "numbers")) {
    throw new TensorsError("unsupported", "The file is no linear model of a federated run.");
  }
  const [classes = 0, features = 0] = weight?.shape ?? [];
  if (
    weight?.dtype !== "float32" ||
    bias?.dtype !== "float32" ||
    weight.shape.length !== 2 ||
    bias.shape.length !== 1 ||
    bias.shape[0] !== classes ||
    classes < 2 ||
    features < 1 ||
    tensors.size !== 2
  ) {
    throw new TensorsError("malformed", "The linear model has other tensors than weight and bias.");
  }
  const weights = floatsOf(weight);
  const biases = floatsOf(bias);
  for (const values of [weights, biases]) {
    if (!values.every(Number.isFinite)) {
      throw new TensorsError("malformed", "The linear model has a weight that is no number.");
    }
  }
  const spec: ModelSpec = {
    platform: "linear",
    inputs: [
      input === "text"
        ? { name: "text", dtype: "text", shape: [null] }
        : { name: "numbers", dtype: "float32", shape: [null, features] },
    ],
    outputs: [
      { name: "probabilities", dtype: "float32", shape: [null, classes] },
      { name: "label", dtype: "int64", shape: [null] },
    ],
  };
  return {
    spec,
    async run(inputs) {
      const rows = input === "text" ? textRows(inputs, features) : numberRows(inputs, features);
      return softmax(rows, weights, biases, classes, features);
    },
    async [Symbol.asyncDispose]() {},
  };
}

type Row = Iterable<readonly [number, number]>;

function textRows(inputs: ReadonlyMap<string, Value>, features: number): readonly Row[] {
  const text = inputs.get("text");
  if (text?.dtype !== "text" || text.shape.length !== 1) {
    throw new TensorsError("invalid-argument", "The input text must be a list of texts.");
  }
  return text.values.map((value) => hashText(value, features));
}

function numberRows(inputs: ReadonlyMap<string, Value>, features: number): readonly Row[] {
  const numbers = inputs.get("numbers");
  if (numbers?.dtype !== "float32" || numbers.shape.length !== 2 || numbers.shape[1] !== features) {
    throw new TensorsError(
      "invalid-argument",
      `The input numbers must be float32 [n, ${features}].`,
    );
  }
  const values = floatsOf(numbers);
  if (!values.every(Number.isFinite)) {
    throw new TensorsError("invalid-argument", "The input numbers hold one that is no number.");
  }
  return Array.from({ length: numbers.shape[0] ?? 0 }, (_, i) =>
    values.subarray(i * features, (i + 1) * features).entries(),
  );
}

function softmax(
  rows: readonly Row[],
  weights: Float32Array,
  biases: Float32Array,
  classes: number,
  features: number,
): ReadonlyMap<string, Value> {
  const probabilities = new Float32Array(rows.length * classes);
  const labels = new BigInt64Array(rows.length);
  const scores = new Float64Array(classes);
  for (const [r, row] of rows.entries()) {
    scores.set(biases);
    for (const [index, value] of row) {
      for (let c = 0; c < classes; c++) {
        scores[c] = (scores[c] as number) + value * (weights[c * features + index] as number);
      }
    }
    let best = 0;
    for (let c = 1; c < classes; c++) {
      if ((scores[c] as number) > (scores[best] as number)) best = c;
    }
    const largest = scores[best] as number;
    let total = 0;
    for (let c = 0; c < classes; c++) {
      scores[c] = Math.exp((scores[c] as number) - largest);
      total += scores[c] as number;
    }
    for (let c = 0; c < classes; c++) {
      probabilities[r * classes + c] = (scores[c] as number) / total;
    }
    labels[r] = BigInt(best);
  }
  return new Map<string, Value>([
    [
      "probabilities",
      { dtype: "float32", shape: [rows.length, classes], data: bytesOfFloats(probabilities) },
    ],
    ["label", { dtype: "int64", shape: [rows.length], data: new Uint8Array(labels.buffer) }],
  ]);
}
