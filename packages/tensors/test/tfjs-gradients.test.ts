/** Our kernels against the cpu backend: each gradient over a grid of shapes, forward repairs, memory. */
import type { Rank, Scalar, Tensor, Tensor4D, Tensor5D } from "@tensorflow/tfjs-core";
import { beforeAll, describe, expect, test } from "vitest";
import { TensorsError } from "../src/index.ts";
import { openTensorFlow, type TensorFlow } from "../src/tfjs/index.ts";

let engine: TensorFlow;
beforeAll(async () => {
  await openTensorFlow({ backend: "cpu" });
  engine = await openTensorFlow({ backend: "wasm" });
});

type Results = readonly Float32Array[];
/** The same computation on both backends; fresh tensors on each, so that none lives on the other. */
async function both(compute: () => readonly Tensor<Rank>[]): Promise<readonly [Results, Results]> {
  const { tf } = engine;
  const results: Results[] = [];
  for (const backend of ["cpu", "wasm"]) {
    await tf.setBackend(backend);
    const before = tf.memory().numTensors;
    const tensors = tf.tidy(() => [...compute()]);
    results.push(tensors.map((tensor) => Float32Array.from(tensor.dataSync())));
    tf.dispose(tensors);
    expect(tf.memory().numTensors, `${backend} keeps tensors`).toBe(before);
  }
  return results as [Results, Results];
}

function worst([a, b]: readonly [Results, Results]): number {
  let most = 0;
  for (const [i, values] of a.entries()) {
    const others = b[i] as Float32Array;
    expect(others.length).toBe(values.length);
    for (const [j, value] of values.entries()) {
      // A number that is none must not pass as no difference.
      const difference = Math.abs(value - (others[j] as number));
      most = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(most, difference);
    }
  }
  return most;
}

/** Numbers that are all different, and no whole ones. */
function numbers(shape: readonly number[], seed: number): Tensor {
  const { tf } = engine;
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7 + seed)),
    [...shape],
  );
}

const kernels = [1, 2, 3, 5];
const strides = [1, 2, 3];
const paddings = ["same", "valid"] as const;
const sizes = [
  [5, 5],
  [7, 6],
  [8, 9],
] as const;
const channels = [
  [1, 1, 1],
  [2, 3, 2],
  [1, 4, 5],
  [3, 2, 1],
] as const;

describe("convolutions: value and both gradients equal cpu's", () => {
  for (const kernel of kernels) {
    for (const stride of strides) {
      test.each(paddings)(`kernel ${kernel}, stride ${stride}, %s`, async (padding) => {
        for (const [height, width] of sizes) {
          for (const [batch, ci, co] of channels) {
            const pair = await both(() => {
              const { tf } = engine;
              const x = numbers([batch, height, width, ci], 1) as Tensor4D;
              const w = numbers([kernel, kernel, ci, co], 2) as Tensor4D;
              const { value, grads } = tf.valueAndGrads((a: Tensor, b: Tensor) => {
                const y = tf.conv2d(a as Tensor4D, b as Tensor4D, stride, padding);
                return tf.sum(tf.mul(y, numbers(y.shape, 3)));
              })([x, w]);
              return [tf.conv2d(x, w, stride, padding), value, ...grads];
            });
            expect(worst(pair), `${batch}x${height}x${width}x${ci}x${co}`).toBeLessThan(1e-4);
          }
        }
      });
    }
  }

  test("strides and paddings that differ by axis", async () => {
    const pair = await both(() => {
      const { tf } = engine;
      const x = numbers([2, 9, 7, 3], 1) as Tensor4D;
      const w = numbers([3, 2, 3, 4], 2) as Tensor4D;
      const explicit: [[number, number], [number, number], [number, number], [number, number]] = [
        [0, 0],
        [1, 0],
        [0, 2],
        [0, 0],
      ];
      return [
        ...tf.grads((a: Tensor, b: Tensor) =>
          tf.sum(tf.square(tf.conv2d(a as Tensor4D, b as Tensor4D, [2, 1], explicit))),
        )([x, w]),
        ...tf.grads((a: Tensor, b: Tensor) =>
          tf.sum(tf.square(tf.conv2d(a as Tensor4D, b as Tensor4D, [1, 3], "same"))),
        )([x, w]),
      ];
    });
    expect(worst(pair)).toBeLessThan(2e-4);
  });
});

describe("depthwise convolutions", () => {
  const shapes = [1, 2, 3, 5].flatMap((kernel) =>
    [1, 2].flatMap((stride) => paddings.map((padding) => [kernel, stride, padding] as const)),
  );
  test.each(shapes)("kernel %i, stride %i, %s", async (kernel, stride, padding) => {
    const pair = await both(() => {
      const { tf } = engine;
      const x = numbers([2, 7, 6, 3], 1) as Tensor4D;
      const w = numbers([kernel, kernel, 3, 2], 2) as Tensor4D;
      const { value, grads } = tf.valueAndGrads((a: Tensor, b: Tensor) => {
        const y = tf.depthwiseConv2d(a as Tensor4D, b as Tensor4D, stride, padding);
        return tf.sum(tf.mul(y, numbers(y.shape, 3)));
      })([x, w]);
      return [tf.depthwiseConv2d(x, w, stride, padding), value, ...grads];
    });
    expect(worst(pair)).toBeLessThan(1e-4);
  });

  test("with strides over the filter's size, upstream's forward bug is repaired here too", async () => {
    const pair = await both(() => {
      const { tf } = engine;
      const x = numbers([1, 7, 8, 2], 1) as Tensor4D;
      const w = numbers([2, 2, 2, 1], 2) as Tensor4D;
      return [tf.depthwiseConv2d(x, w, 3, "same")];
    });
    expect(worst(pair)).toBeLessThan(1e-5);
  });
});

describe("three dimensions", () => {
  for (const stride of [1, 2, 3]) {
    test.each(paddings)(`convolution, stride ${stride}, %s`, async (padding) => {
      for (const kernel of [1, 2, 3]) {
        const pair = await both(() => {
          const { tf } = engine;
          const x = numbers([2, 5, 4, 6, 2], 1) as Tensor5D;
          const w = numbers([kernel, kernel, kernel, 2, 3], 2) as Tensor5D;
          const { value, grads } = tf.valueAndGrads((a: Tensor, b: Tensor) => {
            const y = tf.conv3d(a as Tensor5D, b as Tensor5D, stride, padding);
            return tf.sum(tf.mul(y, numbers(y.shape, 3)));
          })([x, w]);
          return [value, ...grads];
        });
        expect(worst(pair)).toBeLessThan(1e-4);
      }
    });
  }
});

describe("pooling: gradients of windows of negative numbers too", () => {
  const pools = [
    [2, 2, "valid"],
    [3, 2, "same"],
    [3, 1, "same"],
    [2, 3, "same"],
  ] as const;
  test.each(pools)("window %i, stride %i, %s", async (size, stride, padding) => {
    const pair = await both(() => {
      const { tf } = engine;
      const weighted = (y: Tensor) => tf.sum(tf.mul(y, numbers(y.shape, 3))) as Scalar;
      const flat = numbers([2, 7, 6, 3], 1);
      const deep = numbers([1, 5, 4, 6, 2], 1);
      return [tf.maxPool, tf.avgPool]
        .map((pool) => tf.grad((x: Tensor) => weighted(pool(x as Tensor4D, size, stride, padding))))
        .flatMap((gradient) => [gradient(flat), gradient(tf.sub(flat, 2))])
        .concat(
          [tf.maxPool3d, tf.avgPool3d]
            .map((pool) =>
              tf.grad((x: Tensor) => weighted(pool(x as Tensor5D, size, stride, padding))),
            )
            .flatMap((gradient) => [gradient(deep), gradient(tf.sub(deep, 2))]),
        );
    });
    expect(worst(pair)).toBeLessThan(1e-5);
  });
});

test("casts to bool are true for every number but zero", async () => {
  const { tf } = engine;
  const pair = await both(() => [
    tf.cast(tf.tensor1d([0, 0.4, -3, 256]), "bool"),
    tf.cast(tf.tensor1d([0, 7, 256, -1], "int32"), "bool"),
  ]);
  expect(worst(pair)).toBe(0);
  expect([...(pair[1][0] ?? [])]).toEqual([0, 1, 1, 1]);
});

test("sums of segments, with ids out of range", async () => {
  const { tf } = engine;
  for (const dtype of ["float32", "int32"] as const) {
    const pair = await both(() => [
      tf.unsortedSegmentSum(
        tf.cast(tf.mul(numbers([5, 2, 3], 1), 10), dtype),
        tf.tensor1d([2, 0, 2, 3, 0], "int32"),
        4,
      ),
    ]);
    expect(worst(pair)).toBeLessThan(1e-5);
  }
  await tf.setBackend("wasm");
  const skipped = tf.tidy(() =>
    tf.unsortedSegmentSum(tf.tensor1d([1, 2, 4]), tf.tensor1d([0, 9, -1], "int32"), 2).dataSync(),
  );
  expect([...skipped]).toEqual([1, 0]);
});

test("gradients of gather", async () => {
  const { tf } = engine;
  const pair = await both(() => [
    tf.grad((table: Tensor) =>
      tf.sum(
        tf.square(
          tf.gather(
            table,
            tf.tensor2d(
              [
                [1, 3],
                [1, 0],
              ],
              [2, 2],
              "int32",
            ),
          ),
        ),
      ),
    )(numbers([4, 3], 1)),
  ]);
  expect(worst(pair)).toBeLessThan(1e-5);
});

test("tile, over ranks, types and repetitions", async () => {
  const { tf } = engine;
  const cases = [
    [[3], [4]],
    [
      [1, 1, 1, 4],
      [2, 3, 5, 1],
    ],
    [
      [2, 3],
      [3, 2],
    ],
    [
      [2, 1, 3],
      [1, 7, 1],
    ],
    [
      [2, 2],
      [1, 1],
    ],
    [
      [2, 0],
      [3, 2],
    ],
  ] as const;
  for (const [shape, reps] of cases) {
    for (const dtype of ["float32", "int32", "bool"] as const) {
      const pair = await both(() => [
        tf.tile(tf.cast(tf.mul(numbers(shape, 1), 10), dtype), [...reps]),
      ]);
      expect(worst(pair)).toBe(0);
    }
  }
  await tf.setBackend("wasm");
  // Texts do not lie on the heap; upstream's kernel aborts the whole module on them.
  expect(() => tf.tidy(() => tf.tile(tf.tensor1d(["a", "b"]), [2]))).toThrow(TensorsError);
});

test("resizing: gradients of both backends equal finite differences", async () => {
  const { tf } = engine;
  const resizes = [
    (x: Tensor) => tf.image.resizeNearestNeighbor(x as Tensor4D, [4, 6]),
    (x: Tensor) => tf.image.resizeBilinear(x as Tensor4D, [4, 6]),
  ];
  for (const resize of resizes) {
    const value = (x: Tensor) => tf.sum(tf.mul(resize(x), numbers([3, 4, 6, 2], 3))) as Scalar;
    const pair = await both(() => [tf.grad(value)(numbers([3, 2, 3, 2], 1))]);
    expect(worst(pair)).toBeLessThan(1e-5);
    // Both are linear, so that a large step is exact.
    const ones = tf.tidy(() => {
      const zeros = new Float32Array(36);
      return [...zeros.keys()].map((i) => {
        const step = zeros.slice();
        step[i] = 1;
        return value(tf.tensor(step, [3, 2, 3, 2])).dataSync()[0] as number;
      });
    });
    expect(worst([[Float32Array.from(ones)], pair[0]])).toBeLessThan(1e-5);
  }
});

test("memory may grow under a kernel", async () => {
  const { tf } = engine;
  await tf.setBackend("wasm");
  // Larger than what the module starts with, so that the output's allocation moves the memory.
  const least = tf.tidy(() => tf.min(tf.tile(tf.ones([1, 1024]), [40_000, 1])).dataSync()[0]);
  expect(least).toBe(1);
});
