/**
 * TensorFlow Serving's REST dialect.
 * Source: https://www.tensorflow.org/tfx/serving/api_rest (Predict with `instances` and `inputs`, status, metadata).
 */
import type { Value, ValueSpec } from "@vivarium/tensors";
import type { Prediction, ServedModel } from "../core.ts";
import { invalid, type Values } from "../values.ts";
import { elementsOf, flatten, type Json, nest, readElements } from "./json.ts";

type JsonObject = { readonly [name: string]: Json };

/** TensorFlow's names of data types. */
const types: Readonly<Record<string, string>> = {
  bool: "DT_BOOL",
  uint8: "DT_UINT8",
  int8: "DT_INT8",
  uint16: "DT_UINT16",
  int16: "DT_INT16",
  uint32: "DT_UINT32",
  int32: "DT_INT32",
  uint64: "DT_UINT64",
  int64: "DT_INT64",
  float16: "DT_HALF",
  bfloat16: "DT_BFLOAT16",
  float32: "DT_FLOAT",
  float64: "DT_DOUBLE",
  text: "DT_STRING",
};

/** @returns the inputs, and whether the answer is to have rows (`instances`) or columns (`inputs`). */
export function readPredict(
  { spec }: ServedModel,
  body: JsonObject,
): { readonly inputs: Values; readonly rows: boolean } {
  const { instances, inputs } = body;
  if ((instances === undefined) === (inputs === undefined)) {
    invalid("it must have either instances or inputs");
  }
  const signature = body["signature_name"];
  if (signature !== undefined && signature !== "serving_default") {
    invalid("the only signature is serving_default");
  }
  return instances === undefined
    ? { inputs: columns(spec.inputs, inputs as Json), rows: false }
    : { inputs: rowsOf(spec.inputs, instances), rows: true };
}

/** A list of values of the only input, or of objects with one value an input. */
function rowsOf(specs: readonly ValueSpec[], instances: Json): Values {
  if (!Array.isArray(instances) || instances.length === 0)
    return invalid("instances must be a list");
  const [only, second] = specs;
  const byName = instances.every((row: Json) => isObject(row) && !isBytes(row));
  if (!byName) {
    if (only === undefined || second !== undefined) {
      return invalid("the model has several inputs: each instance must be an object");
    }
    return new Map([[only.name, column(only, instances as Json)]]);
  }
  return new Map(
    specs.map((spec) => {
      const values = instances.map((row: Json) => (row as JsonObject)[spec.name]);
      if (values.some((value: Json | undefined) => value === undefined))
        invalid(`an instance lacks ${spec.name}`);
      const extra = instances.find((row: Json) =>
        Object.keys(row as JsonObject).some((name) => !specs.some((each) => each.name === name)),
      );
      if (extra !== undefined) invalid("an instance has an input that the model has not");
      return [spec.name, column(spec, values as Json)] as const;
    }),
  );
}

function columns(specs: readonly ValueSpec[], inputs: Json): Values {
  const [only, second] = specs;
  if (isObject(inputs) && !isBytes(inputs)) {
    return new Map(
      Object.entries(inputs).map(([name, value]) => {
        const spec = specs.find((each) => each.name === name);
        return [
          name,
          column(spec ?? invalid("an input has a name that the model has not"), value),
        ] as const;
      }),
    );
  }
  if (only === undefined || second !== undefined)
    invalid("the model has several inputs: name them");
  return new Map([[only.name, column(only, inputs)]]);
}

function column(spec: ValueSpec, value: Json): Value {
  const { shape, flat } = flatten(value);
  return readElements(spec, shape, flat);
}

export function writePredict({ outputs }: Prediction, rows: boolean): JsonObject {
  const nested = [...outputs].map(
    ([name, value]) => [name, nest(value.shape, elementsOf(value))] as const,
  );
  const [first, second] = nested;
  if (!rows) {
    return { outputs: second === undefined ? (first?.[1] ?? null) : Object.fromEntries(nested) };
  }
  if (second === undefined) return { predictions: first?.[1] ?? [] };
  const count = (first?.[1] as readonly Json[] | undefined)?.length ?? 0;
  const predictions = Array.from({ length: count }, (_, i) =>
    Object.fromEntries(nested.map(([name, list]) => [name, (list as readonly Json[])[i] ?? null])),
  );
  return { predictions };
}

export function statusOf(models: readonly ServedModel[]): JsonObject {
  return {
    model_version_status: models.map(({ version }) => ({
      version: String(version),
      state: "AVAILABLE",
      status: { error_code: "OK", error_message: "" },
    })),
  };
}

export function metadataOf({ name, version, spec }: ServedModel): JsonObject {
  const tensors = (specs: readonly ValueSpec[]): JsonObject =>
    Object.fromEntries(
      specs.map((each) => [
        each.name,
        {
          dtype: types[each.dtype] ?? "DT_INVALID",
          tensor_shape: {
            dim: each.shape.map((size) => ({ size: String(size ?? -1), name: "" })),
            unknown_rank: false,
          },
          name: each.name,
        },
      ]),
    );
  return {
    model_spec: { name, signature_name: "", version: String(version) },
    metadata: {
      signature_def: {
        signature_def: {
          serving_default: {
            inputs: tensors(spec.inputs),
            outputs: tensors(spec.outputs),
            method_name: "tensorflow/serving/predict",
          },
        },
      },
    },
  };
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isBytes = (value: JsonObject): boolean => Object.keys(value).length === 1 && "b64" in value;
