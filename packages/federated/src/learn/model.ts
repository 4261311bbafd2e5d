/** The model of a plan: its first parameters, and a trainer on one's own rows. */
import { FederatedError } from "../errors.ts";
import type { FederatedPlan } from "../plan.ts";
import { examplesOf, parseJsonLines } from "./examples.ts";
import { linearSize, linearTrainer, shuffle } from "./linear.ts";
import { createRandom } from "./random.ts";
import type { Trainer } from "./trainer.ts";

/** Zeros: the objective is convex, so that no symmetry need be broken. */
export function initialParameters({ model }: Pick<FederatedPlan, "model">): Float32Array {
  return new Float32Array(linearSize(model.features, model.classes));
}

/**
 * @param text JSON lines.
 * @param testShare of the rows, drawn with the plan's seed: only tested on.
 * @throws FederatedError `bad-data`.
 */
export function trainerOf(plan: FederatedPlan, text: string, testShare: number): Trainer {
  const { model, seed } = plan;
  const rows = parseJsonLines(text, model.input);
  const order = Uint32Array.from({ length: rows.length }, (_, i) => i);
  shuffle(order, createRandom(seed));
  const drawn = [...order].map((i) => rows[i] as (typeof rows)[number]);
  const tests = Math.round(rows.length * testShare);
  if (rows.length - tests < 1) {
    throw new FederatedError("bad-data", "The data holds no example to train on.");
  }
  const of = (part: typeof rows) => examplesOf(part, model.features, model.classes);
  return linearTrainer(model.classes, of(drawn.slice(tests)), of(drawn.slice(0, tests)));
}
