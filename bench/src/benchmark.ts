/** What a benchmark is, and the arithmetic that all of them share. */

/** One measured number. Its name is stable: documents and later work refer to it in brackets. */
export interface Figure {
  /** `<benchmark>.<what>_<size>`, such as `psi.cpu_ratio_vs_openmined_100k`. */
  readonly name: string;
  /** Median over the runs. */
  readonly value: number;
  /** `items/CPU-s`, `MB`, `GB/s`, `ratio`, … */
  readonly unit: string;
  /** Half the distance between slowest and fastest run, relative to the median. */
  readonly spread?: number;
}

export interface BenchmarkRun {
  /** What did the work, such as `node:crypto X25519`. */
  readonly engine: string;
  /** Repetitions behind each median. */
  readonly runs: number;
  readonly figures: readonly Figure[];
  /** What a reader must know to judge the figures: sizes, what was left out and why. */
  readonly notes: readonly string[];
  /** Versions of the software compared with, such as `@openmined/psi.js`. */
  readonly versions?: Readonly<Record<string, string>>;
}

/** A file of `bench/src` exports one of these as `benchmark`. */
export interface Benchmark {
  readonly name: string;
  run(): Promise<BenchmarkRun>;
}

/** @throws RangeError for no samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new RangeError("There are no samples.");
  return (upper + lower) / 2;
}

/** A figure from the samples of its runs. */
export function figure(name: string, samples: readonly number[], unit: string): Figure {
  const value = median(samples);
  const spread = value === 0 ? 0 : (Math.max(...samples) - Math.min(...samples)) / 2 / value;
  return { name, value, unit, spread };
}

/** Wall and CPU time (user and system, all threads) of a piece of work, in seconds. */
export async function measure<T>(
  work: () => T | Promise<T>,
): Promise<{ readonly result: T; readonly wallSeconds: number; readonly cpuSeconds: number }> {
  const begin = performance.now();
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return {
    result,
    wallSeconds: (performance.now() - begin) / 1e3,
    cpuSeconds: (user + system) / 1e6,
  };
}
