/** Control frames: small maps with exactly the keys that are expected. */
import { type DecodeLimits, decode, type Encodable } from "@vivarium/core";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { FrameType } from "./session.ts";

const controlLimits: DecodeLimits = {
  maxBytes: psiLimits.maxControlBytes,
  maxDepth: 4,
  maxArrayLength: 64,
  maxMapLength: 8,
  maxStringBytes: 8_192,
  maxBinaryBytes: 64,
  maxValues: 512,
};

/** A control frame as a record with exactly these keys. */
export function readControl(
  bytes: Uint8Array,
  type: FrameType,
  keys: readonly string[],
): Readonly<Record<string, Encodable>> {
  let value: Encodable;
  try {
    value = decode(bytes, controlLimits);
  } catch (cause) {
    throw malformed(type, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(type);
  if (value instanceof Uint8Array) throw malformed(type);
  if (Object.keys(value).sort().join() !== keys.join()) throw malformed(type);
  return value as Readonly<Record<string, Encodable>>;
}

export function readCount(value: Encodable | undefined, type: FrameType): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed(type);
  return value;
}

export function malformed(type: FrameType, cause?: unknown): PsiError {
  return new PsiError("protocol", `The peer's ${type} frame is malformed.`, { cause });
}
