/**
 * Whether the time of a multiplication depends on the scalar: Welch's t-test on two classes of scalars (dudect;
 * Reparaz, Balasch, Verbauwhede, DATE 2017), with a positive control that must be found out.
 */
import { randomBytes, randomInt } from "node:crypto";
import * as addon from "@vivarium/curve25519/addon";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";

const runs = 5;
const samples = 4_000;
/** Points of one measurement: more make an interruption likelier, fewer the clock's grain larger. */
const points = 64;
/** Above this a difference is no accident. */
const threshold = 4.5;

type Work = (scalar: Uint8Array) => void;

/** Clamped, and otherwise as far from random as can be. */
function fixedScalar(): Uint8Array {
  const scalar = new Uint8Array(32);
  scalar[31] = 0x40;
  return scalar;
}

function randomScalar(): Uint8Array {
  const scalar = new Uint8Array(randomBytes(32));
  scalar[0] = (scalar[0] as number) & 0xf8;
  scalar[31] = ((scalar[31] as number) & 0x7f) | 0x40;
  return scalar;
}

function kernelWork(kernel: number): Work {
  const input = new Uint8Array(randomBytes(32 * points));
  for (let i = 31; i < input.length; i += 32) input[i] = (input[i] as number) & 0x7f;
  const out = new Uint8Array(input.length);
  return (scalar) => addon.multiply?.(kernel, scalar, input, out);
}

/** Multiplies where a bit is set: what a ladder must not do. */
function leakyWork(): Work {
  const p = 2n ** 255n - 19n;
  return (scalar) => {
    let result = 1n;
    for (const byte of scalar) {
      for (let bit = 0; bit < 8; bit++) {
        result = (result * result) % p;
        if ((byte >> bit) & 1) result = (result * 9n) % p;
      }
    }
    if (result === 0n) throw new Error("unreachable");
  };
}

/** |t| of the two classes' times, without the slowest tenth: those were interrupted. */
function tStatistic(work: Work): number {
  const times: [number[], number[]] = [[], []];
  const fixed = fixedScalar();
  for (let i = 0; i < samples; i++) {
    // Drawn, so that no rhythm of the machine falls in with a class.
    const kind = randomInt(2) as 0 | 1;
    const scalar = kind === 0 ? fixed : randomScalar();
    const begin = process.hrtime.bigint();
    work(scalar);
    times[kind].push(Number(process.hrtime.bigint() - begin));
  }
  const cut = [...times[0], ...times[1]].sort((a, b) => a - b)[Math.floor(0.9 * samples)] as number;
  const [a, b] = times.map((all) => moments(all.filter((time) => time < cut)));
  if (a === undefined || b === undefined) throw new Error("unreachable");
  return Math.abs(a.mean - b.mean) / Math.sqrt(a.variance / a.n + b.variance / b.n);
}

function moments(values: readonly number[]): { n: number; mean: number; variance: number } {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  return { n, mean, variance };
}

export const benchmark: Benchmark = {
  name: "constant-time",
  async run() {
    const kernels = addon.kernels ?? [];
    const contenders: [string, Work][] = kernels.map((name, i) => [name, kernelWork(i)]);
    contenders.push(["control", leakyWork()]);
    const figures: Figure[] = [];
    for (const [name, work] of contenders) {
      tStatistic(work);
      const found = Array.from({ length: runs }, () => tStatistic(work));
      figures.push(figure(`constant-time.${name}_t`, found, "|t|"));
    }
    const control = figures.at(-1)?.value ?? 0;
    if (!(control > threshold)) throw new Error("The positive control was not found out.");
    return {
      engine: kernels.join(", ") || "no native kernel here",
      runs,
      figures,
      notes: [
        `Welch's t between the times of one fixed scalar (all bits zero but the clamped one) and of random ones, ${samples.toLocaleString("en-US")} measurements of ${points} points a run, the slowest tenth left out`,
        `above ${threshold} a difference is no accident; below it none was found, which is no proof`,
        "the control squares and multiplies by the bits of the scalar, and must be far above",
      ],
    };
  },
};
