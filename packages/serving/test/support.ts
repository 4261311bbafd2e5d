/** Repositories of small models on disk. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@vivarium/core";
import { encodeLinear, type Value } from "@vivarium/tensors";
import { afterAll } from "vitest";
import { type BatchingOptions, type RepositoryOptions, ServingCore } from "../src/index.ts";

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

export function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-serving-"));
  directories.push(directory);
  return directory;
}

/** Class 1 if the sum of two numbers is over `-bias`. */
export function linearBytes(bias: number): Uint8Array {
  return encodeLinear("test", {
    classes: 2,
    features: 2,
    input: "numbers",
    parameters: new Float32Array([0, 0, 1, 1, 0, bias]),
  });
}

export const textBytes = (): Uint8Array =>
  encodeLinear("test", {
    classes: 2,
    features: 64,
    input: "text",
    parameters: Float32Array.from({ length: 130 }, (_, i) => Math.sin(i)),
  });

export function put(root: string, name: string, version: number, bytes: Uint8Array): void {
  const directory = join(root, name, String(version));
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "model.safetensors"), bytes);
}

export const numbers = (
  ...rows: readonly (readonly [number, number])[]
): ReadonlyMap<string, Value> =>
  new Map([
    [
      "numbers",
      {
        dtype: "float32",
        shape: [rows.length, 2],
        data: new Uint8Array(new Float32Array(rows.flat()).buffer),
      },
    ],
  ]);

export const floats = (value: Value | undefined): number[] => {
  if (value === undefined || value.dtype === "text") throw new Error("no numbers");
  return [...new Float32Array(value.data.slice().buffer)];
};

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export async function coreOf(
  root: string,
  options: Partial<RepositoryOptions> = {},
  batching: Partial<BatchingOptions> = {},
): Promise<ServingCore> {
  const core = new ServingCore({
    repository: { root, ...options },
    clock: systemClock(),
    batching,
  });
  await core.refresh();
  return core;
}
