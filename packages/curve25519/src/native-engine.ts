/** The engines of the addon: one for each instruction set that it was compiled for. */
import * as addon from "@vivarium/curve25519/addon";
import {
  type Curve25519Engine,
  pointBytes,
  requireItems,
  requirePoints,
  type ScalarKey,
} from "./engine.ts";
import { Curve25519Error } from "./errors.ts";
import { lowOrder, requireHonestPoints } from "./points.ts";
import { requireScalar } from "./scalar.ts";

/** Kernels by the names that the addon gives them. */
const kernelNames = {
  ifma: "avx512ifma",
  avx512: "avx512f",
  avx2: "avx2",
  portable: "portable",
} as const;

export const ifmaEngine: Curve25519Engine = nativeEngine("ifma");
export const avx512Engine: Curve25519Engine = nativeEngine("avx512");
export const avx2Engine: Curve25519Engine = nativeEngine("avx2");
export const portableEngine: Curve25519Engine = nativeEngine("portable");

function nativeEngine(name: keyof typeof kernelNames): Curve25519Engine {
  return {
    name,
    hashToCurve(items, offsets, dst) {
      const n = requireItems(items, offsets, dst);
      const { hash, index } = requireKernel(name);
      const out = new Uint8Array(n * pointBytes);
      hash(index, items, offsets, dst, out);
      return out;
    },
    multiply(scalar, points) {
      requireScalar(scalar);
      const n = requirePoints(points);
      requireHonestPoints(points);
      const { multiply, index } = requireKernel(name);
      const out = new Uint8Array(n * pointBytes);
      const bytes = bytesOf(scalar);
      try {
        multiply(index, bytes, points, out);
      } finally {
        bytes.fill(0);
      }
      requireProducts(out);
      return out;
    },
  };
}

interface Kernel {
  readonly index: number;
  readonly multiply: NonNullable<typeof addon.multiply>;
  readonly hash: NonNullable<typeof addon.hash>;
}

/** @throws Curve25519Error `unsupported`, with the reason. */
function requireKernel(name: keyof typeof kernelNames): Kernel {
  const { kernels, multiply, hash } = addon;
  if (kernels === undefined || multiply === undefined || hash === undefined) {
    throw new Curve25519Error("unsupported", "the native kernel is not compiled here");
  }
  const index = kernels.indexOf(kernelNames[name]);
  if (index < 0) {
    throw new Curve25519Error("unsupported", `this processor has no ${kernelNames[name]}`);
  }
  return { index, multiply, hash };
}

/** The last 32 bytes of a PKCS #8 key (RFC 8410), clamped as RFC 7748 section 5 says. */
function bytesOf(scalar: ScalarKey): Uint8Array<ArrayBuffer> {
  const der = scalar.export({ format: "der", type: "pkcs8" });
  const bytes = new Uint8Array(der.subarray(der.length - 32));
  der.fill(0);
  bytes[0] = (bytes[0] as number) & 0xf8;
  bytes[31] = ((bytes[31] as number) & 0x7f) | 0x40;
  return bytes;
}

/** A product of zero means a point of small order: a second line behind the check of the input. */
function requireProducts(out: Uint8Array): void {
  const words = new Uint32Array(out.buffer);
  for (let i = 0; i < words.length; i += 8) {
    if (words[i] === 0 && words.subarray(i, i + 8).every((word) => word === 0)) {
      throw lowOrder(i / 8);
    }
  }
}
