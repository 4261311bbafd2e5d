/**
 * NumPy's array files, little-endian and in C order.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html (versions 1.0 to 3.0).
 */
import { concat, type DType, elementBytes, type Tensor, utf8 } from "@vivarium/core";
import { TensorsError } from "./errors.ts";

const descriptors: Readonly<Record<string, DType>> = {
  "|b1": "bool",
  "|u1": "uint8",
  "|i1": "int8",
  "<u2": "uint16",
  "<i2": "int16",
  "<u4": "uint32",
  "<i4": "int32",
  "<u8": "uint64",
  "<i8": "int64",
  "<f2": "float16",
  "<f4": "float32",
  "<f8": "float64",
};
const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59);
const maxHeaderBytes = 65_536;
const maxRank = 8;

/** `data` is a view of the file. @throws TensorsError `malformed` or `unsupported` (big-endian, Fortran order, objects). */
export function decodeNpy(bytes: Uint8Array): Tensor {
  if (bytes.length < 10 || !magic.every((byte, i) => bytes[i] === byte))
    fail("does not begin as one");
  const version = bytes[6] as number;
  if (version < 1 || version > 3 || bytes[7] !== 0) fail("is of another version than 1.0 to 3.0");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = version > 1;
  if (wide && bytes.length < 12) fail("ends inside its header");
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  if (length > maxHeaderBytes || start > bytes.length) fail("ends inside its header");
  const header = new TextDecoder("latin1").decode(bytes.subarray(wide ? 12 : 10, start));
  // Not Python: exactly the dictionary that NumPy writes, and nothing that would have to be evaluated.
  const pattern =
    /^\{'descr': '([^']{3})', 'fortran_order': (True|False), 'shape': \(((?:\d+,? ?)*)\),? ?\}\s*$/;
  const [, descr, order, dimensions] =
    pattern.exec(header) ?? fail("has a header that NumPy does not write");
  const dtype = Object.hasOwn(descriptors, descr as string)
    ? descriptors[descr as string]
    : undefined;
  if (dtype === undefined || order === "True") {
    throw new TensorsError("unsupported", "Arrays must be numbers, little-endian, in C order.");
  }
  const shape = (dimensions as string)
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(Number);
  const size = shape.reduce((product, dimension) => product * dimension, elementBytes(dtype));
  const data = bytes.subarray(start);
  if (shape.length > maxRank || !Number.isSafeInteger(size) || size !== data.length) {
    fail("has another number of bytes than its shape");
  }
  return { dtype, shape, data };
}

/** Version 1.0. @throws TensorsError `unsupported` for bfloat16, which NumPy has not. */
export function encodeNpy({ dtype, shape, data }: Tensor): Uint8Array<ArrayBuffer> {
  const [descr] = Object.entries(descriptors).find(([, name]) => name === dtype) ?? [];
  if (descr === undefined) throw new TensorsError("unsupported", `NumPy has no ${dtype}.`);
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  // The data begin at a multiple of 64; the header ends in a new line.
  const padded = text.padEnd(64 * Math.ceil((text.length + 11) / 64) - 11, " ");
  const header = utf8(`${padded}\n`);
  const length = Uint8Array.of(header.length & 0xff, header.length >> 8);
  return concat(magic, Uint8Array.of(1, 0), length, header, data);
}

function fail(what: string): never {
  throw new TensorsError("malformed", `The NPY file ${what}.`);
}
