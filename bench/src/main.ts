/**
 * `npm run bench -- psi channel`: runs benchmarks one after the other and writes
 * `bench/results/<name>.json`; `npm run docs:generate` makes the tables of docs/benchmarks.md.
 */
import { readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import type { Benchmark, BenchmarkRun } from "./benchmark.ts";

const known = [
  "curve25519",
  "constant-time",
  "psi",
  "channel",
  "attestation",
  "broker",
  "federated",
];
const results = new URL("../results/", import.meta.url);

const names = process.argv.slice(2);
const unknown = names.filter((name) => !known.includes(name));
if (names.length === 0 || unknown.length > 0) {
  for (const name of unknown) console.error(`There is no benchmark "${name}".`);
  console.error(`usage: npm run bench -- ${known.join("|")}`);
  process.exit(2);
}

for (const name of names) {
  const { benchmark } = (await import(`./${name}.ts`)) as { readonly benchmark: Benchmark };
  console.error(`Running ${benchmark.name} ...`);
  const run = await benchmark.run();
  await write(benchmark.name, run);
  for (const { name: figure, value, unit } of run.figures) {
    console.log(`${figure.padEnd(44)} ${value.toPrecision(4).padStart(12)} ${unit}`);
  }
  for (const note of run.notes) console.log(`note: ${note}`);
}

async function write(name: string, run: BenchmarkRun): Promise<void> {
  const { versions = {}, ...rest } = run;
  const root = new URL("../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(root, "utf8")) as { readonly version: string };
  const record = {
    name,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      platform: `${process.platform}-${process.arch}`,
      node: process.versions.node,
      openssl: process.versions.openssl,
    },
    versions: { vivarium: version, ...versions },
    ...rest,
  };
  await mkdir(results, { recursive: true });
  // Written aside first: an interrupted benchmark must not leave half a result.
  const target = new URL(`${name}.json`, results);
  const aside = new URL(`${name}.json.tmp`, results);
  await writeFile(aside, `${JSON.stringify(record, null, 2)}\n`);
  await rename(aside, target);
  console.error(
    `Wrote bench/results/${name}.json; npm run docs:generate brings the tables in step.`,
  );
}
