/** One small model for each layer type, trained on wasm and on cpu from the same weights: equal, and learning. */
import type { Tensor } from "@tensorflow/tfjs-core";
import type { layers as Layers, Sequential } from "@tensorflow/tfjs-layers";
import { beforeAll, describe, expect, test } from "vitest";
import { openTensorFlow, type TensorFlow } from "../src/tfjs/index.ts";

let engine: TensorFlow;
beforeAll(async () => {
  await openTensorFlow({ backend: "cpu" });
  engine = await openTensorFlow({ backend: "wasm" });
});

type Layer = Parameters<Sequential["add"]>[0];
type Build = (layers: typeof Layers) => readonly Layer[];
interface Case {
  readonly input: readonly number[];
  /** Whole numbers from 0 to under this, for embeddings. */
  readonly words?: number;
  readonly optimizer?: "sgd" | "adam" | "rmsprop" | "adagrad" | "momentum";
  readonly build: Build;
}

const image = [6, 6, 2];
const cases: Readonly<Record<string, Case>> = {
  dense: { input: [5], build: (l) => [l.dense({ units: 4, activation: "tanh" })] },
  "dense with relu, adam": {
    input: [5],
    optimizer: "adam",
    build: (l) => [l.dense({ units: 8, activation: "relu" })],
  },
  "dense with gelu-like swish, rmsprop": {
    input: [5],
    optimizer: "rmsprop",
    build: (l) => [l.dense({ units: 8, activation: "swish" })],
  },
  "dense with elu, adagrad": {
    input: [5],
    optimizer: "adagrad",
    build: (l) => [l.dense({ units: 8, activation: "elu" })],
  },
  "dense with sigmoid, momentum": {
    input: [5],
    optimizer: "momentum",
    build: (l) => [l.dense({ units: 8, activation: "sigmoid" })],
  },
  "leaky ReLU and PReLU": {
    input: [5],
    build: (l) => [l.dense({ units: 6 }), l.leakyReLU(), l.dense({ units: 6 }), l.prelu()],
  },
  "batch normalisation": {
    input: image,
    build: (l) => [l.conv2d({ filters: 3, kernelSize: 3 }), l.batchNormalization()],
  },
  "layer normalisation": {
    input: [5],
    build: (l) => [l.dense({ units: 6 }), l.layerNormalization()],
  },
  "1-D convolution": {
    input: [8, 3],
    build: (l) => [
      l.conv1d({ filters: 4, kernelSize: 3, padding: "same" }),
      l.globalMaxPooling1d(),
    ],
  },
  "2-D convolution": {
    input: image,
    build: (l) => [
      l.conv2d({ filters: 4, kernelSize: 3, padding: "same", activation: "relu" }),
      l.conv2d({ filters: 3, kernelSize: 3, strides: 2 }),
    ],
  },
  "2-D convolution, stride over its kernel": {
    input: [7, 7, 2],
    build: (l) => [
      l.conv2d({ filters: 3, kernelSize: 2, strides: 3, padding: "same", activation: "relu" }),
    ],
  },
  "transposed convolution": {
    input: [3, 3, 2],
    build: (l) => [l.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: "same" })],
  },
  "separable convolution": {
    input: image,
    build: (l) => [l.separableConv2d({ filters: 4, kernelSize: 3, depthMultiplier: 2 })],
  },
  "depthwise convolution": {
    input: image,
    build: (l) => [l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: "same" })],
  },
  "3-D convolution": {
    input: [4, 4, 4, 1],
    build: (l) => [l.conv3d({ filters: 2, kernelSize: 2 })],
  },
  "maximum pooling": {
    input: image,
    build: (l) => [
      l.conv2d({ filters: 3, kernelSize: 3, padding: "same" }),
      l.maxPooling2d({ poolSize: 2 }),
    ],
  },
  "average pooling": {
    input: image,
    build: (l) => [
      l.conv2d({ filters: 3, kernelSize: 3, padding: "same" }),
      l.averagePooling2d({ poolSize: 2 }),
      l.globalAveragePooling2d({}),
    ],
  },
  upsampling: {
    input: [3, 3, 2],
    build: (l) => [l.conv2d({ filters: 2, kernelSize: 2 }), l.upSampling2d({ size: [2, 2] })],
  },
  "padding, cropping and reshaping": {
    input: image,
    build: (l) => [
      l.conv2d({ filters: 2, kernelSize: 3 }),
      l.zeroPadding2d({ padding: 1 }),
      l.cropping2D({
        cropping: [
          [1, 0],
          [0, 1],
        ],
      }),
      l.reshape({ targetShape: [50] }),
    ],
  },
  embedding: {
    input: [4],
    words: 7,
    build: (l) => [l.embedding({ inputDim: 7, outputDim: 3 })],
  },
  LSTM: { input: [4, 3], build: (l) => [l.lstm({ units: 4 })] },
  GRU: { input: [4, 3], build: (l) => [l.gru({ units: 4 })] },
  "bidirectional simple RNN": {
    input: [4, 3],
    build: (l) => [
      l.bidirectional({
        layer: l.simpleRNN({ units: 3, returnSequences: true }),
        mergeMode: "concat",
      }),
    ],
  },
  dropout: {
    input: [5],
    build: (l) => [l.dense({ units: 6 }), l.dropout({ rate: 0.3, seed: 5 })],
  },
};

const rows = 6;
const steps = 8;

function modelOf({ input, build, optimizer = "sgd" }: Case): Sequential {
  const { tf, layers } = engine;
  const model = layers.sequential();
  model.add(layers.layers.inputLayer({ inputShape: [...input] }));
  for (const layer of build(layers.layers)) model.add(layer);
  if (model.outputShape.length > 2) model.add(layers.layers.flatten());
  model.add(layers.layers.dense({ units: 3, activation: "softmax" }));
  const optimizers = {
    sgd: () => tf.train.sgd(0.1),
    adam: () => tf.train.adam(0.02),
    rmsprop: () => tf.train.rmsprop(0.01),
    adagrad: () => tf.train.adagrad(0.1),
    momentum: () => tf.train.momentum(0.1, 0.9),
  };
  model.compile({ optimizer: optimizers[optimizer](), loss: "categoricalCrossentropy" });
  return model;
}

/** Weights that every backend starts from. */
function startingWeights(model: Sequential): Tensor[] {
  const { tf } = engine;
  return model.getWeights().map((weight, w) => {
    const { name } = model.weights[w] ?? { name: "" };
    // Variances and scales are near one, all else is small.
    const offset = /variance|gamma/u.test(name) ? 1 : 0;
    const values = Float32Array.from(
      { length: weight.size },
      (_, i) => offset + 0.4 * Math.sin(1 + i * 2.3 + w),
    );
    return tf.tensor(values, weight.shape);
  });
}

async function train(each: Case, backend: string): Promise<readonly [number[], Float32Array[]]> {
  const { tf } = engine;
  await tf.setBackend(backend);
  const model = modelOf(each);
  const start = startingWeights(model);
  model.setWeights(start);
  tf.dispose(start);
  const size = each.input.reduce((a, b) => a * b, rows);
  const { words } = each;
  const values = Float32Array.from({ length: size }, (_, i) =>
    words === undefined ? Math.sin(i * 0.9) : (i * 5) % words,
  );
  const x = tf.tensor(values, [rows, ...each.input]);
  const y = tf.oneHot(tf.tensor1d([0, 1, 2, 0, 1, 2], "int32"), 3);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push(Number(await model.trainOnBatch(x, y)));
  const weights = model.getWeights().map((weight) => Float32Array.from(weight.dataSync()));
  model.dispose();
  tf.dispose([x, y]);
  return [losses, weights];
}

describe("training on wasm equals training on cpu", () => {
  test.each(Object.keys(cases))("%s", async (name) => {
    const each = cases[name] as Case;
    const [cpuLosses, cpuWeights] = await train(each, "cpu");
    const [losses, weights] = await train(each, "wasm");
    for (const [i, loss] of losses.entries()) expect(loss).toBeCloseTo(cpuLosses[i] as number, 3);
    for (const [w, values] of weights.entries()) {
      for (const [i, value] of values.entries()) {
        expect(value).toBeCloseTo(cpuWeights[w]?.[i] as number, 3);
      }
    }
    // Dropout's own draws move its loss; it must only be the same on both.
    if (name !== "dropout") expect(losses.at(-1)).toBeLessThan(losses[0] as number);
  });
});

describe("the backend that runs", () => {
  test("is said in one line, with what was tried before", async () => {
    const { backend, reason } = await openTensorFlow();
    expect(reason).not.toContain("\n");
    expect(reason.startsWith(`${backend}: `)).toBe(true);
    // Wherever the native one is not installed, the line says so.
    if (backend !== "tensorflow") expect(reason).toContain("tensorflow: ");
  });

  test("can be asked for", async () => {
    expect((await openTensorFlow({ backend: "cpu" })).backend).toBe("cpu");
    expect(engine.tf.getBackend()).toBe("cpu");
    expect((await openTensorFlow({ backend: "wasm" })).backend).toBe("wasm");
    expect(engine.tf.getBackend()).toBe("wasm");
  });
});
