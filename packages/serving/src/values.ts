/** Inputs and outputs of several requests as one batch, and apart again. */
import { concat, elementBytes } from "@vivarium/core";
import type { ModelSpec, Value, ValueSpec } from "@vivarium/tensors";
import { ServingError } from "./errors.ts";
import { servingLimits } from "./limits.ts";

export type Values = ReadonlyMap<string, Value>;

export const elements = (shape: readonly number[]): number =>
  shape.reduce((product, size) => product * size, 1);

/**
 * Holds inputs against a model's spec before they come near it.
 * @returns rows: the first dimension, which all inputs share.
 * @throws ServingError `invalid-argument`, naming the input.
 */
export function requireInputs({ inputs }: ModelSpec, values: Values): number {
  const unknown = [...values.keys()].find((name) => !inputs.some((spec) => spec.name === name));
  if (unknown !== undefined) invalid(`there is no input ${JSON.stringify(unknown.slice(0, 64))}`);
  let rows: number | undefined;
  for (const spec of inputs) {
    const value = values.get(spec.name);
    if (value === undefined) return invalid(`the input ${spec.name} is missing`);
    requireValue(spec, value);
    const own = value.shape[0] as number;
    if (rows !== undefined && own !== rows) invalid("the inputs have different numbers of rows");
    rows = own;
  }
  if (rows === undefined || rows === 0) invalid("there is no row to predict");
  if (rows > servingLimits.batchRows) invalid(`there are over ${servingLimits.batchRows} rows`);
  return rows;
}

function requireValue(spec: ValueSpec, value: Value): void {
  if (value.dtype !== spec.dtype) {
    invalid(`the input ${spec.name} is ${value.dtype}, and must be ${spec.dtype}`);
  }
  const fits =
    value.shape.length === spec.shape.length &&
    spec.shape.every((size, i) => size === null || size === value.shape[i]);
  const wanted = spec.shape.map((size) => size ?? -1).join(", ");
  if (!fits) {
    invalid(
      `the input ${spec.name} has the shape [${value.shape.join(", ")}], and must have [${wanted}]`,
    );
  }
  const count = elements(value.shape);
  const held =
    value.dtype === "text" ? value.values.length : value.data.length / elementBytes(value.dtype);
  if (held !== count)
    invalid(`the input ${spec.name} has ${held} elements, and its shape ${count}`);
}

/** Rows one after the other. All have the same names, types and inner shapes. */
export function joinRows(batch: readonly Values[]): Values {
  const [first] = batch;
  if (first === undefined || batch.length === 1) return first ?? new Map();
  const joined = new Map<string, Value>();
  for (const [name, value] of first) {
    const parts = batch.map((values) => values.get(name) as Value);
    const rows = parts.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    const shape = [rows, ...value.shape.slice(1)];
    joined.set(
      name,
      value.dtype === "text"
        ? {
            dtype: "text",
            shape,
            values: parts.flatMap((part) => (part.dtype === "text" ? part.values : [])),
          }
        : {
            dtype: value.dtype,
            shape,
            data: concat(
              ...parts.map((part) => (part.dtype === "text" ? new Uint8Array(0) : part.data)),
            ),
          },
    );
  }
  return joined;
}

/**
 * The rows of each request. @throws ServingError `failed` if the model gave another number of rows: an answer
 * must never be somebody else's.
 */
export function splitRows(outputs: Values, counts: readonly number[]): readonly Values[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const starts = counts.map((_, i) => counts.slice(0, i).reduce((sum, count) => sum + count, 0));
  for (const { shape } of outputs.values()) {
    if (shape[0] !== total)
      throw new ServingError("failed", "The model gave another number of rows.");
  }
  return counts.map((count, i) => {
    const start = starts[i] as number;
    const own = [...outputs].map(([name, value]): [string, Value] => {
      const inner = elements(value.shape.slice(1));
      const shape = [count, ...value.shape.slice(1)];
      if (value.dtype === "text") {
        const values = value.values.slice(start * inner, (start + count) * inner);
        return [name, { dtype: "text", shape, values }];
      }
      const each = inner * elementBytes(value.dtype);
      // A copy: no request's answer may lie in the same buffer as another's.
      const data = value.data.slice(start * each, (start + count) * each);
      return [name, { dtype: value.dtype, shape, data }];
    });
    return new Map(own);
  });
}

export function invalid(what: string): never {
  throw new ServingError("invalid-argument", `The request is wrong: ${what}.`);
}
