/**
 * Named limits. Every length that comes from outside meets one of these before memory is allocated
 * for it. Each package that reads outside bytes takes its limits as a parameter and documents them
 * in the table of its README.
 */
import { CoreError } from "./errors.ts";

/** Bounds of one decoded message ({@link decode}). */
export interface DecodeLimits {
  /** Bytes of the whole message. */
  readonly maxBytes: number;
  /** Nesting of arrays and maps; a flat value has depth 0. */
  readonly maxDepth: number;
  /** Elements of one array. */
  readonly maxArrayLength: number;
  /** Entries of one map. */
  readonly maxMapLength: number;
  /** Bytes of one string, map keys included. */
  readonly maxStringBytes: number;
  /** Bytes of one binary value. */
  readonly maxBinaryBytes: number;
  /** Values in the whole message: what bounds the memory of ten million empty arrays. */
  readonly maxValues: number;
}

/** Defaults for messages between attested peers. */
export const defaultDecodeLimits: DecodeLimits = {
  maxBytes: 16 * 1024 * 1024,
  maxDepth: 16,
  maxArrayLength: 65_536,
  maxMapLength: 1_024,
  maxStringBytes: 1024 * 1024,
  maxBinaryBytes: 16 * 1024 * 1024,
  maxValues: 100_000,
};

/** Defaults for bytes of a peer that has proven nothing yet. */
export const unauthenticatedDecodeLimits: DecodeLimits = {
  maxBytes: 512 * 1024,
  maxDepth: 8,
  maxArrayLength: 256,
  maxMapLength: 64,
  maxStringBytes: 16 * 1024,
  maxBinaryBytes: 384 * 1024,
  maxValues: 2_048,
};

/** @throws CoreError `limit-exceeded`, naming the limit. */
export function requireWithin(name: string, value: number, limit: number): void {
  if (!(value <= limit)) {
    throw new CoreError("limit-exceeded", `${name} is ${value}, over the limit of ${limit}.`);
  }
}
