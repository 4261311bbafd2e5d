/**
 * What a strategy is: pure arithmetic on flat parameter vectors. No I/O, no clock, no order of arrival;
 * the words are Flower's (https://flower.ai/docs/framework/ref-api).
 */
import { FederatedError } from "../errors.ts";

/** What one participant sends of one round. Vectors have one value a parameter, in model order. */
export interface FitUpdate {
  /** Who: order of the arithmetic, so that arrival cannot change a bit of it. */
  readonly participant: string;
  /** Examples trained on: the weight in averages. */
  readonly examples: number;
  /** Trained parameters minus those the round began with. */
  readonly delta: Float32Array;
  /** SCAFFOLD: change of the participant's control variate. */
  readonly control?: Float32Array;
  /** FedNova: local steps, or the 1-norm of their weights (the paper's a_i). */
  readonly steps?: number;
  /** q-FedAvg: loss of the round's first parameters on the participant's data. */
  readonly loss?: number;
}

/** What the server keeps from round to round: vectors by name, in double precision. */
export type StrategyState = Readonly<Record<string, Float64Array>>;

export interface AggregateInput {
  readonly parameters: Float32Array;
  readonly state: StrategyState;
  readonly updates: readonly FitUpdate[];
}

export interface AggregateResult {
  readonly parameters: Float32Array;
  readonly state: StrategyState;
}

/** Weighted means of a round's updates, for strategies that need no more. */
export interface MeanInput {
  readonly parameters: Float32Array;
  readonly state: StrategyState;
  readonly delta: Float64Array;
  /** Mean of the control variates' changes, where the strategy requires them. */
  readonly control: Float64Array | undefined;
  /** Updates behind the mean. */
  readonly count: number;
}

/** How a strategy works on means alone: then updates may be added up as they stream in. */
export interface MeanRule {
  readonly weigh: (update: Pick<FitUpdate, "examples">) => number;
  apply(input: MeanInput): AggregateResult;
}

export interface Strategy {
  /** As in configurations and receipts. */
  readonly name: string;
  /** All of it, for receipts: another number is another strategy. */
  readonly settings: Readonly<Record<string, number>>;
  /**
   * `sum`: a weighted sum of the updates is all it needs, so that they may come masked and in a stream;
   * `each`: it compares single updates.
   */
  readonly needs: "sum" | "each";
  /** Of those that need a sum. */
  readonly mean?: MeanRule;
  /** Extra fields that updates must have. */
  readonly requires: readonly ("control" | "steps" | "loss")[];
  /** Settings that the participants train with, such as `proximalMu`. */
  readonly clientConfig: Readonly<Record<string, number>>;
  /** @throws FederatedError `too-few`. */
  readonly minimumUpdates: number;
  /** @param size number of parameters. */
  initialState(size: number): StrategyState;
  /** @throws FederatedError `bad-update`, `too-few`. Changes none of its input. */
  aggregate(input: AggregateInput): AggregateResult;
}

/** Checks that every strategy makes, then its arithmetic on updates in the order of their names. */
export function defineStrategy(
  strategy: Omit<Strategy, "initialState" | "requires" | "clientConfig" | "minimumUpdates"> &
    Partial<Pick<Strategy, "initialState" | "requires" | "clientConfig" | "minimumUpdates">>,
): Strategy {
  const { requires = [], minimumUpdates = 1 } = strategy;
  for (const [name, value] of Object.entries(strategy.settings)) {
    if (!Number.isFinite(value)) invalid(`${strategy.name}: ${name} must be a number`);
  }
  return {
    initialState: () => ({}),
    clientConfig: {},
    ...strategy,
    requires,
    minimumUpdates,
    aggregate(input) {
      const { parameters, updates } = input;
      if (updates.length < minimumUpdates) {
        throw new FederatedError(
          "too-few",
          `${strategy.name} needs ${minimumUpdates} updates; ${updates.length} came.`,
        );
      }
      const names = new Set(updates.map(({ participant }) => participant));
      if (names.size !== updates.length) invalid("two updates are of one participant");
      for (const update of updates) requireUpdate(update, parameters.length, requires);
      const ordered = [...updates].sort((a, b) => (a.participant < b.participant ? -1 : 1));
      return strategy.aggregate({ ...input, updates: ordered });
    },
  };
}

function requireUpdate(update: FitUpdate, size: number, requires: Strategy["requires"]): void {
  const { participant, examples, delta, control, steps, loss } = update;
  const bad = (what: string): never => {
    throw new FederatedError("bad-update", `The update of ${participant} ${what}.`);
  };
  if (!Number.isSafeInteger(examples) || examples < 1) bad("has no positive number of examples");
  if (delta.length !== size) bad(`has ${delta.length} parameters, not ${size}`);
  if (!isFinite32(delta)) bad("has a value that is no number");
  if (requires.includes("control")) {
    if (control?.length !== size) bad("lacks its control variate");
    else if (!isFinite32(control)) bad("has a control variate that is no number");
  }
  if (requires.includes("steps") && !(steps !== undefined && steps > 0 && steps < 1e9)) {
    bad("lacks its number of steps");
  }
  if (requires.includes("loss") && !(loss !== undefined && loss >= 0 && loss < 1e30)) {
    bad("lacks its loss");
  }
}

/** A sum is a number only if all of it is: one pass without a branch an element. */
function isFinite32(values: Float32Array): boolean {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) * 0;
  return sum === 0;
}

export function invalid(what: string): never {
  throw new FederatedError("invalid-argument", `${what}.`);
}

/** @throws FederatedError `invalid-argument`. */
export function requireRange(name: string, value: number, from: number, to: number): number {
  if (!(value >= from && value <= to)) invalid(`${name} must be from ${from} to ${to}`);
  return value;
}

/** A state vector of `size` values; absent before the first round. */
export function vectorOf(state: StrategyState, name: string, size: number, fill = 0): Float64Array {
  const vector = state[name];
  if (vector === undefined) return new Float64Array(size).fill(fill);
  if (vector.length !== size) invalid(`the state ${name} is of another model`);
  return vector;
}
