/**
 * Safetensors: 8 bytes of the header's length, JSON of names, types, shapes and offsets, then the data.
 * Source: https://github.com/huggingface/safetensors (format), whose rules are all enforced: no gaps, no overlaps, no
 * bytes left over, no duplicate names.
 */
import { concat, type DType, elementBytes, fromUtf8, type Tensor, utf8 } from "@vivarium/core";
import { TensorsError } from "./errors.ts";

/** Safetensors' names of element types. */
const dtypes: Readonly<Record<string, DType>> = {
  BOOL: "bool",
  U8: "uint8",
  I8: "int8",
  U16: "uint16",
  I16: "int16",
  U32: "uint32",
  I32: "int32",
  U64: "uint64",
  I64: "int64",
  F16: "float16",
  BF16: "bfloat16",
  F32: "float32",
  F64: "float64",
};
const names = new Map(Object.entries(dtypes).map(([name, dtype]) => [dtype, name]));

export const safetensorsLimits = {
  /** Of the JSON header, as upstream. */
  headerBytes: 100_000_000,
  tensors: 100_000,
  rank: 8,
  nameChars: 1_024,
  metadataEntries: 1_024,
} as const;

export interface TensorFile {
  readonly metadata: Readonly<Record<string, string>>;
  /** By name; `data` are views of the file's bytes. */
  readonly tensors: ReadonlyMap<string, Tensor>;
}

/** @throws TensorsError `malformed` or `limit-exceeded`. */
export function decodeSafetensors(bytes: Uint8Array): TensorFile {
  if (bytes.length < 8) fail("is shorter than its first field");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getBigUint64(0, true);
  if (length > BigInt(safetensorsLimits.headerBytes)) {
    throw new TensorsError("limit-exceeded", "The header of the safetensors file is too long.");
  }
  const start = 8 + Number(length);
  if (start > bytes.length) fail("ends inside its header");
  const header = headerOf(bytes.subarray(8, start));
  const metadata = metadataOf(header.get("__metadata__"));
  header.delete("__metadata__");
  if (header.size > safetensorsLimits.tensors) {
    throw new TensorsError(
      "limit-exceeded",
      `The file has over ${safetensorsLimits.tensors} tensors.`,
    );
  }
  const data = bytes.subarray(start);
  const entries = [...header].map(([name, value]) => entryOf(name, value));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let position = 0;
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    // Hidden bytes between tensors could carry anything past whoever inspects the file.
    if (begin !== position) fail(`has a gap or an overlap before the tensor ${name}`);
    if (end > data.length) fail(`ends inside the tensor ${name}`);
    tensors.set(name, { dtype, shape, data: data.subarray(begin, end) });
    position = end;
  }
  if (position !== data.length) fail("has bytes after its last tensor");
  return { metadata, tensors };
}

/** Names in their own order; data aligned to 8 bytes at the start. */
export function encodeSafetensors({ metadata, tensors }: TensorFile): Uint8Array<ArrayBuffer> {
  let position = 0;
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) entries.push(["__metadata__", metadata]);
  for (const [name, { dtype, shape, data }] of tensors) {
    const expected = shape.reduce((product, size) => product * size, elementBytes(dtype));
    if (data.length !== expected || name === "__metadata__") {
      throw new TensorsError(
        "invalid-argument",
        `The tensor ${name} has another size than its shape.`,
      );
    }
    const end = position + data.length;
    entries.push([name, { dtype: names.get(dtype), shape, data_offsets: [position, end] }]);
    position = end;
  }
  const json = utf8(JSON.stringify(Object.fromEntries(entries)));
  const padding = new Uint8Array((8 - (json.length % 8)) % 8).fill(0x20);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length + padding.length), true);
  return concat(length, json, padding, ...[...tensors.values()].map(({ data }) => data));
}

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function entryOf(name: string, value: unknown): Entry {
  if (name.length > safetensorsLimits.nameChars) fail("has a tensor with too long a name");
  const fields = (typeof value === "object" && value !== null ? value : {}) as Readonly<
    Record<string, unknown>
  >;
  const { dtype: type, shape, data_offsets: offsets } = fields;
  const dtype = typeof type === "string" && Object.hasOwn(dtypes, type) ? dtypes[type] : undefined;
  if (dtype === undefined) {
    throw new TensorsError(
      "unsupported",
      `The tensor ${name} has a data type that is not known here.`,
    );
  }
  const isSize = (item: unknown): item is number =>
    Number.isSafeInteger(item) && (item as number) >= 0;
  if (!Array.isArray(shape) || shape.length > safetensorsLimits.rank || !shape.every(isSize)) {
    return fail(`has no shape for the tensor ${name}`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isSize)) {
    return fail(`has no offsets for the tensor ${name}`);
  }
  const [begin, end] = offsets as [number, number];
  const sizes: readonly number[] = shape;
  const expected = sizes.reduce((product, size) => product * size, elementBytes(dtype));
  if (!Number.isSafeInteger(expected) || end - begin !== expected) {
    return fail(`has another number of bytes than the shape of the tensor ${name}`);
  }
  return { name, dtype, shape: sizes, begin, end };
}

/** JSON.parse keeps the last of two equal keys: readers that keep the first would see another file. */
function headerOf(bytes: Uint8Array): Map<string, unknown> {
  if (bytes[0] !== 0x7b) fail("has a header that does not begin with {");
  let text: string;
  let value: unknown;
  try {
    text = fromUtf8(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new TensorsError("malformed", "The header of the safetensors file is not JSON.", {
      cause,
    });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail("has no header");
  const header = new Map(Object.entries(value as Record<string, unknown>));
  if (topLevelKeys(text) !== header.size) fail("names a tensor twice");
  return header;
}

/** Members of the outermost object, counted without decoding. */
function topLevelKeys(text: string): number {
  let depth = 0;
  let keys = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (inString) {
      if (c === "\\") i++;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === "{" || c === "[") depth++;
    else if (c === "}" || c === "]") depth--;
    else if (c === ":" && depth === 1) keys++;
  }
  return keys;
}

function metadataOf(value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  const entries = typeof value === "object" && value !== null ? Object.entries(value) : undefined;
  const ok = entries?.every(([, item]) => typeof item === "string") === true;
  if (entries === undefined || !ok || entries.length > safetensorsLimits.metadataEntries) {
    fail("has metadata that are not text by name");
  }
  return Object.fromEntries(entries) as Readonly<Record<string, string>>;
}

function fail(what: string): never {
  throw new TensorsError("malformed", `The safetensors file ${what}.`);
}
