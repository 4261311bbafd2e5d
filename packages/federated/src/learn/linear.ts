/** Softmax regression on sparse rows: one weight a class and feature, then one bias a class. */
import { throwIfAborted } from "@vivarium/core";
import type { Examples } from "./examples.ts";
import { createRandom } from "./random.ts";
import type { Evaluation, FitResult, FitSettings, Trainer } from "./trainer.ts";

/** Parameters of the model. */
export const linearSize = (features: number, classes: number): number => (features + 1) * classes;

/** Batches between two turns of the event loop: heartbeats must get through. */
const batchesPerTurn = 16;

/**
 * @param test examples that are never trained on.
 */
export function linearTrainer(classes: number, train: Examples, test: Examples): Trainer {
  const { features } = train;
  const size = linearSize(features, classes);
  return {
    size,
    examples: train.labels.length,
    fit: (parameters, settings, signal) => fit(classes, train, parameters, settings, signal),
    evaluate: (parameters) => evaluate(classes, test, parameters),
  };
}

/** Class probabilities of a row, into `out`; returns the loss. */
function forward(
  classes: number,
  { features, offsets, indices, values, labels }: Examples,
  row: number,
  parameters: Float32Array,
  out: Float64Array,
): number {
  const end = offsets[row + 1] as number;
  let largest = Number.NEGATIVE_INFINITY;
  for (let c = 0; c < classes; c++) {
    const base = c * features;
    let sum = parameters[classes * features + c] as number;
    for (let k = offsets[row] as number; k < end; k++) {
      sum += (values[k] as number) * (parameters[base + (indices[k] as number)] as number);
    }
    out[c] = sum;
    if (sum > largest) largest = sum;
  }
  let total = 0;
  for (let c = 0; c < classes; c++) {
    const value = Math.exp((out[c] as number) - largest);
    out[c] = value;
    total += value;
  }
  for (let c = 0; c < classes; c++) out[c] = (out[c] as number) / total;
  return -Math.log(Math.max(1e-12, out[labels[row] as number] as number));
}

async function fit(
  classes: number,
  examples: Examples,
  start: Float32Array,
  settings: FitSettings,
  signal: AbortSignal,
): Promise<FitResult> {
  const { epochs, batchSize, learningRate, l2, proximalMu, correction, seed } = settings;
  const { labels } = examples;
  const parameters = Float32Array.from(start);
  const order = Uint32Array.from({ length: labels.length }, (_, i) => i);
  const draw = createRandom(seed);
  const scratch = { sum: new Float64Array(start.length), scores: new Float64Array(classes) };
  const dense = l2 > 0 || proximalMu > 0 || correction !== undefined;
  const loss = meanLoss(classes, examples, start);
  let steps = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    shuffle(order, draw);
    for (let begin = 0; begin < order.length; begin += batchSize) {
      if (steps % batchesPerTurn === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        throwIfAborted(signal);
      }
      const end = Math.min(order.length, begin + batchSize);
      const gradient = batchGradient(
        classes,
        examples,
        order.subarray(begin, end),
        parameters,
        scratch,
      );
      if (dense) {
        // What is not the data's: decay, the proximal term, the control variates. At the same point.
        for (let i = 0; i < parameters.length; i++) {
          const value = parameters[i] as number;
          const pull = l2 * value + proximalMu * (value - (start[i] as number));
          parameters[i] =
            value - learningRate * (pull + (correction?.[i] ?? 0) + (gradient.sum[i] as number));
        }
        gradient.sum.fill(0);
      } else {
        for (const index of gradient.touched) {
          parameters[index] =
            (parameters[index] as number) - learningRate * (gradient.sum[index] as number);
          gradient.sum[index] = 0;
        }
      }
      steps++;
    }
  }
  return { parameters, steps, loss };
}

/** Mean gradient of a batch, in `sum`, which is zero but where `touched` says. */
function batchGradient(
  classes: number,
  examples: Examples,
  batch: Uint32Array,
  parameters: Float32Array,
  { sum, scores }: { readonly sum: Float64Array; readonly scores: Float64Array },
): { readonly sum: Float64Array; readonly touched: ReadonlySet<number> } {
  const { features, offsets, indices, values, labels } = examples;
  const touched = new Set<number>();
  for (const row of batch) {
    forward(classes, examples, row, parameters, scores);
    const last = offsets[row + 1] as number;
    for (let c = 0; c < classes; c++) {
      const error = ((scores[c] as number) - (labels[row] === c ? 1 : 0)) / batch.length;
      const base = c * features;
      for (let k = offsets[row] as number; k < last; k++) {
        const index = base + (indices[k] as number);
        sum[index] = (sum[index] as number) + error * (values[k] as number);
        touched.add(index);
      }
      const bias = classes * features + c;
      sum[bias] = (sum[bias] as number) + error;
      touched.add(bias);
    }
  }
  return { sum, touched };
}

function meanLoss(classes: number, examples: Examples, parameters: Float32Array): number {
  const scores = new Float64Array(classes);
  let sum = 0;
  for (let row = 0; row < examples.labels.length; row++) {
    sum += forward(classes, examples, row, parameters, scores);
  }
  return examples.labels.length === 0 ? 0 : sum / examples.labels.length;
}

function evaluate(classes: number, examples: Examples, parameters: Float32Array): Evaluation {
  const scores = new Float64Array(classes);
  const count = examples.labels.length;
  let loss = 0;
  let right = 0;
  for (let row = 0; row < count; row++) {
    loss += forward(classes, examples, row, parameters, scores);
    let best = 0;
    for (let c = 1; c < classes; c++)
      if ((scores[c] as number) > (scores[best] as number)) best = c;
    if (best === examples.labels[row]) right++;
  }
  return {
    examples: count,
    loss: count === 0 ? 0 : loss / count,
    accuracy: count === 0 ? 0 : right / count,
  };
}

/** Fisher and Yates. */
export function shuffle(values: Uint32Array, draw: (below: number) => number): void {
  for (let i = values.length - 1; i > 0; i--) {
    const j = draw(i + 1);
    const swap = values[i] as number;
    values[i] = values[j] as number;
    values[j] = swap;
  }
}
