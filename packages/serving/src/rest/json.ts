/** Numbers and texts of JSON as values of a model, and back. */
import { type DType, elementBytes, type Tensor } from "@vivarium/core";
import type { Value, ValueSpec } from "@vivarium/tensors";
import { servingLimits } from "../limits.ts";
import { elements, invalid } from "../values.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

/** Reads and writes one element; little-endian. */
interface Access {
  readonly write: (view: DataView, at: number, value: number) => void;
  readonly read: (view: DataView, at: number) => number;
  readonly whole: boolean;
  readonly from: number;
  readonly to: number;
}

const integer = (bits: number, signed: boolean): Pick<Access, "whole" | "from" | "to"> => ({
  whole: true,
  from: signed ? -(2 ** (bits - 1)) : 0,
  to: signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1,
});
const real = { whole: false, from: -Number.MAX_VALUE, to: Number.MAX_VALUE };
const safe = { whole: true, from: Number.MIN_SAFE_INTEGER, to: Number.MAX_SAFE_INTEGER };

const accesses: Readonly<Partial<Record<DType, Access>>> = {
  bool: {
    write: (v, at, x) => v.setUint8(at, x),
    read: (v, at) => v.getUint8(at),
    whole: true,
    from: 0,
    to: 1,
  },
  uint8: {
    write: (v, at, x) => v.setUint8(at, x),
    read: (v, at) => v.getUint8(at),
    ...integer(8, false),
  },
  int8: {
    write: (v, at, x) => v.setInt8(at, x),
    read: (v, at) => v.getInt8(at),
    ...integer(8, true),
  },
  uint16: {
    write: (v, at, x) => v.setUint16(at, x, true),
    read: (v, at) => v.getUint16(at, true),
    ...integer(16, false),
  },
  int16: {
    write: (v, at, x) => v.setInt16(at, x, true),
    read: (v, at) => v.getInt16(at, true),
    ...integer(16, true),
  },
  uint32: {
    write: (v, at, x) => v.setUint32(at, x, true),
    read: (v, at) => v.getUint32(at, true),
    ...integer(32, false),
  },
  int32: {
    write: (v, at, x) => v.setInt32(at, x, true),
    read: (v, at) => v.getInt32(at, true),
    ...integer(32, true),
  },
  uint64: {
    write: (v, at, x) => v.setBigUint64(at, BigInt(x), true),
    read: (v, at) => Number(v.getBigUint64(at, true)),
    ...safe,
    from: 0,
  },
  int64: {
    write: (v, at, x) => v.setBigInt64(at, BigInt(x), true),
    read: (v, at) => Number(v.getBigInt64(at, true)),
    ...safe,
  },
  float32: {
    write: (v, at, x) => v.setFloat32(at, x, true),
    read: (v, at) => v.getFloat32(at, true),
    ...real,
  },
  float64: {
    write: (v, at, x) => v.setFloat64(at, x, true),
    read: (v, at) => v.getFloat64(at, true),
    ...real,
  },
};

function accessOf(dtype: DType): Access {
  return accesses[dtype] ?? invalid(`${dtype} cannot be written in JSON; send it as binary data`);
}

/** Nested lists flattened, with their shape. @throws ServingError for lists that are no rectangle. */
export function flatten(value: Json): {
  readonly shape: readonly number[];
  readonly flat: readonly Json[];
} {
  const shape: number[] = [];
  for (let level: Json | undefined = value; Array.isArray(level); level = level[0]) {
    if (shape.length === servingLimits.rank)
      invalid(`a value has over ${servingLimits.rank} dimensions`);
    shape.push(level.length);
    if (level.length === 0) break;
  }
  const flat: Json[] = [];
  const visit = (item: Json, depth: number): void => {
    if (depth === shape.length) {
      if (Array.isArray(item)) invalid("a list is nested deeper than its neighbours");
      flat.push(item);
      return;
    }
    if (!Array.isArray(item) || item.length !== shape[depth])
      invalid("lists of one value have different lengths");
    for (const inner of item as readonly Json[]) visit(inner, depth + 1);
  };
  visit(value, 0);
  return { shape, flat };
}

/** Elements as a value of the spec's type. @throws ServingError `invalid-argument`, never quoting an element. */
export function readElements(
  spec: ValueSpec,
  shape: readonly number[],
  flat: readonly Json[],
): Value {
  if (spec.dtype === "text") {
    if (flat.length > servingLimits.texts)
      invalid(`${spec.name} has over ${servingLimits.texts} texts`);
    return { dtype: "text", shape, values: flat.map((item) => textOf(spec.name, item)) };
  }
  const { dtype } = spec;
  const { write, whole, from, to } = accessOf(dtype);
  const size = elementBytes(dtype);
  const data = new Uint8Array(size * flat.length);
  const view = new DataView(data.buffer);
  for (const [i, item] of flat.entries()) {
    const number = typeof item === "boolean" && dtype === "bool" ? Number(item) : item;
    if (
      typeof number !== "number" ||
      !(number >= from && number <= to) ||
      (whole && !Number.isInteger(number))
    ) {
      return invalid(`an element of ${spec.name} is no ${dtype}`);
    }
    write(view, i * size, number);
  }
  return { dtype, shape, data };
}

/** A string, or `{"b64": "…"}` as TensorFlow Serving writes bytes; the bytes must be UTF-8 text. */
function textOf(name: string, item: Json): string {
  if (typeof item === "string") return item;
  const b64 =
    typeof item === "object" && item !== null && !Array.isArray(item)
      ? (item as { b64?: Json }).b64
      : undefined;
  if (typeof b64 !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(b64)) {
    return invalid(`an element of ${name} is neither text nor {"b64": …}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(b64, "base64"));
  } catch {
    return invalid(`bytes of ${name} are not UTF-8 text`);
  }
}

/** Elements for JSON; numbers that JSON has not become null, which no client takes for a result. */
export function elementsOf(value: Value): readonly Json[] {
  if (value.dtype === "text") return value.values;
  const { read } = accessOf(value.dtype);
  const size = elementBytes(value.dtype);
  const { data } = value as Tensor;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: data.length / size }, (_, i) => {
    const number = read(view, i * size);
    if (value.dtype === "bool") return number === 1;
    return Number.isFinite(number) ? number : null;
  });
}

/** Elements as nested lists of a shape. */
export function nest(shape: readonly number[], flat: readonly Json[]): Json {
  const [size, ...inner] = shape;
  if (size === undefined) return flat[0] ?? null;
  if (inner.length === 0) return flat;
  const each = elements(inner);
  return Array.from({ length: size }, (_, i) => nest(inner, flat.slice(i * each, (i + 1) * each)));
}
