/** What runs a model, whatever it is made of. */
import type { DType, Tensor } from "@vivarium/core";

/** Text, one string an element, beside the numbers of `core`. */
export interface TextTensor {
  readonly dtype: "text";
  readonly shape: readonly number[];
  readonly values: readonly string[];
}

export type Value = Tensor | TextTensor;

/** An input or output. `null` dimensions are free; the first is the batch. */
export interface ValueSpec {
  readonly name: string;
  readonly dtype: DType | "text";
  readonly shape: readonly (number | null)[];
}

export interface ModelSpec {
  /** Engine and kind, such as `linear`. */
  readonly platform: string;
  readonly inputs: readonly ValueSpec[];
  readonly outputs: readonly ValueSpec[];
}

/** A model that is loaded. */
export interface Model extends AsyncDisposable {
  readonly spec: ModelSpec;
  /**
   * Runs a batch: rows of the first dimension, the same number in each input.
   * @throws TensorsError `invalid-argument` for inputs that do not fit the spec.
   */
  run(
    inputs: ReadonlyMap<string, Value>,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, Value>>;
}
