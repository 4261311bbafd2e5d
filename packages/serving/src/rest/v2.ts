/**
 * Open Inference Protocol, version 2, with its binary tensor data extension.
 * Source: https://github.com/kserve/open-inference-protocol (REST), and Triton's extension_binary_data.md.
 */
import { concat, type DType, elementBytes, fromUtf8, utf8 } from "@vivarium/core";
import type { Value, ValueSpec } from "@vivarium/tensors";
import type { Prediction, ServedModel } from "../core.ts";
import { servingLimits } from "../limits.ts";
import { elements, invalid, type Values } from "../values.ts";
import { elementsOf, flatten, type Json, readElements } from "./json.ts";

type JsonObject = { readonly [name: string]: Json };

const datatypes: Readonly<Record<string, DType | "text">> = {
  BOOL: "bool",
  UINT8: "uint8",
  INT8: "int8",
  UINT16: "uint16",
  INT16: "int16",
  UINT32: "uint32",
  INT32: "int32",
  UINT64: "uint64",
  INT64: "int64",
  FP16: "float16",
  BF16: "bfloat16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "text",
};
const nameOf = (dtype: DType | "text"): string =>
  Object.entries(datatypes).find(([, value]) => value === dtype)?.[0] ?? "BYTES";

export interface InferRequest {
  readonly id: string | undefined;
  readonly inputs: Values;
  /** Outputs wanted, all if empty, and which of them as binary data. */
  readonly outputs: ReadonlyMap<string, boolean>;
  readonly allBinary: boolean;
  /** How long it may wait for its turn, milliseconds. */
  readonly timeoutMs: number | undefined;
}

/**
 * @param headerLength of the JSON, from `Inference-Header-Content-Length`; undefined: all of the body.
 * @throws ServingError `invalid-argument`.
 */
export function readInfer(
  { spec }: ServedModel,
  body: Uint8Array,
  headerLength: number | undefined,
): InferRequest {
  const end = headerLength ?? body.length;
  if (!Number.isSafeInteger(end) || end < 0 || end > body.length)
    invalid("its header is longer than its body");
  if (headerLength !== undefined && end > servingLimits.headerBytes)
    invalid("its header is too long");
  const document = objectOf("the body", parseJson(body.subarray(0, end)));
  const list = document["inputs"];
  if (!Array.isArray(list) || list.length > servingLimits.inputs)
    return invalid("it has no list of inputs");
  const binary = { bytes: body, at: end };
  const inputs = new Map<string, Value>();
  for (const item of list as readonly Json[]) {
    const input = objectOf("an input", item);
    const name = String(input["name"]);
    const own = spec.inputs.find((each) => each.name === name);
    if (own === undefined) invalid("an input has a name that the model has not");
    if (inputs.has(name)) invalid(`the input ${name} is there twice`);
    inputs.set(name, inputOf(own as ValueSpec, input, binary));
  }
  if (binary.at !== body.length) invalid("bytes are left over after the last input");
  const { id, outputs = [], parameters } = document;
  if (!Array.isArray(outputs)) return invalid("outputs must be a list");
  const wanted = (outputs as readonly Json[]).map((item): [string, boolean] => {
    const output = objectOf("an output", item);
    const name = String(output["name"]);
    if (!spec.outputs.some((each) => each.name === name))
      invalid("an output has a name that the model has not");
    return [name, flagOf(output["parameters"], "binary_data")];
  });
  return {
    id: typeof id === "string" ? id.slice(0, 256) : undefined,
    inputs,
    outputs: new Map(wanted),
    allBinary: flagOf(parameters, "binary_data_output"),
    timeoutMs: timeoutOf(parameters),
  };
}

function inputOf(
  spec: ValueSpec,
  input: JsonObject,
  binary: { readonly bytes: Uint8Array; at: number },
): Value {
  const datatype = input["datatype"];
  const dtype =
    typeof datatype === "string" && Object.hasOwn(datatypes, datatype)
      ? datatypes[datatype]
      : undefined;
  if (dtype !== spec.dtype) invalid(`the datatype of ${spec.name} must be ${nameOf(spec.dtype)}`);
  const { shape, data, parameters } = input;
  const isSize = (size: Json): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  if (!Array.isArray(shape) || shape.length > servingLimits.rank || !shape.every(isSize)) {
    return invalid(`${spec.name} has no shape`);
  }
  const sizes = shape as readonly number[];
  const count = elements(sizes);
  // Before anything of that size is made.
  if (!Number.isSafeInteger(count) || count > servingLimits.requestBytes)
    invalid(`the shape of ${spec.name} is too large`);
  const size = isObject(parameters) ? parameters["binary_data_size"] : undefined;
  if (size === undefined) {
    if (!Array.isArray(data)) return invalid(`${spec.name} has no data`);
    const { flat } = flatten(data as Json);
    if (flat.length !== count)
      invalid(`${spec.name} has ${flat.length} elements, and its shape ${count}`);
    return readElements(spec, sizes, flat);
  }
  if (data !== undefined) invalid(`${spec.name} has data both in JSON and as bytes`);
  if (!isSize(size) || binary.at + (size as number) > binary.bytes.length)
    invalid(`the bytes of ${spec.name} are cut short`);
  const bytes = binary.bytes.subarray(binary.at, binary.at + (size as number));
  binary.at += size as number;
  if (spec.dtype === "text")
    return { dtype: "text", shape: sizes, values: textsOf(spec.name, bytes, count) };
  if (bytes.length !== count * elementBytes(spec.dtype))
    invalid(`${spec.name} has another number of bytes than its shape`);
  return { dtype: spec.dtype, shape: sizes, data: bytes.slice() };
}

/** Each text behind its length, four bytes little-endian. */
function textsOf(name: string, bytes: Uint8Array, count: number): readonly string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (texts.length === count || at + 4 > bytes.length)
      return invalid(`${name} has other texts than its shape`);
    const length = view.getUint32(at, true);
    at += 4;
    if (at + length > bytes.length) return invalid(`a text of ${name} is cut short`);
    try {
      texts.push(fromUtf8(bytes.subarray(at, at + length)));
    } catch {
      return invalid(`a text of ${name} is not UTF-8`);
    }
    at += length;
  }
  return texts.length === count ? texts : invalid(`${name} has other texts than its shape`);
}

/** @returns the body, and the length of its JSON where binary data follow it. */
export function writeInfer(
  { model, outputs }: Prediction,
  request: Pick<InferRequest, "id" | "outputs" | "allBinary">,
): { readonly body: Uint8Array; readonly headerLength: number | undefined } {
  const wanted = [...outputs].filter(
    ([name]) => request.outputs.size === 0 || request.outputs.has(name),
  );
  const binary: Uint8Array[] = [];
  const list = wanted.map(([name, value]): JsonObject => {
    const own = { name, datatype: nameOf(value.dtype), shape: value.shape };
    if (!(request.allBinary || request.outputs.get(name) === true))
      return { ...own, data: elementsOf(value) };
    const bytes = value.dtype === "text" ? bytesOfTexts(value.values) : value.data;
    binary.push(bytes);
    return { ...own, parameters: { binary_data_size: bytes.length } };
  });
  const json = utf8(
    JSON.stringify({
      model_name: model.name,
      model_version: String(model.version),
      ...(request.id === undefined ? {} : { id: request.id }),
      parameters: { model_digest: model.digest },
      outputs: list,
    }),
  );
  return binary.length === 0
    ? { body: json, headerLength: undefined }
    : { body: concat(json, ...binary), headerLength: json.length };
}

function bytesOfTexts(texts: readonly string[]): Uint8Array {
  return concat(
    ...texts.flatMap((text) => {
      const bytes = utf8(text);
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, bytes.length, true);
      return [length, bytes];
    }),
  );
}

export function metadataOf({ name, spec }: ServedModel, versions: readonly number[]): JsonObject {
  const tensors = (specs: readonly ValueSpec[]): readonly Json[] =>
    specs.map((each) => ({
      name: each.name,
      datatype: nameOf(each.dtype),
      shape: each.shape.map((size) => size ?? -1),
    }));
  return {
    name,
    versions: versions.map(String),
    platform: `vivarium_${spec.platform}`,
    inputs: tensors(spec.inputs),
    outputs: tensors(spec.outputs),
  };
}

export function parseJson(bytes: Uint8Array): Json {
  try {
    return JSON.parse(fromUtf8(bytes)) as Json;
  } catch {
    // The parser's own message would quote the input.
    return invalid("its body is not JSON");
  }
}

/** Triton's `timeout`, microseconds in the queue; 0 and none mean no bound. */
function timeoutOf(parameters: Json | undefined): number | undefined {
  const timeout = isObject(parameters) ? parameters["timeout"] : undefined;
  if (timeout === undefined || timeout === 0) return undefined;
  const fits = typeof timeout === "number" && Number.isSafeInteger(timeout) && timeout > 0;
  return fits ? timeout / 1_000 : invalid("timeout must be whole microseconds");
}

function flagOf(parameters: Json | undefined, name: string): boolean {
  return isObject(parameters) && parameters[name] === true;
}

function objectOf(what: string, value: Json | undefined): JsonObject {
  return isObject(value) ? value : invalid(`${what} is no object`);
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
