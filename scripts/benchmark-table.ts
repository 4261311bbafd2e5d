/**
 * Writes the tables of docs/benchmarks.md from bench/results/*.json, between two markers. With
 * `--check` it only says whether they are in step.
 */
import { writeFileSync } from "node:fs";
import { globSync, readJson, readText, report } from "./files.ts";

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly spread?: number;
}
interface Result {
  readonly name: string;
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly node: string;
    readonly openssl: string;
  };
  readonly versions: Readonly<Record<string, string>>;
  readonly engine: string;
  readonly runs: number;
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
}

const file = "docs/benchmarks.md";
const begin = "<!-- results:begin (written by npm run docs:generate) -->";
const end = "<!-- results:end -->";

/** Four significant digits: more would pretend to a precision that a shared machine has not. */
function readable(value: number): string {
  const digits = value === 0 ? 0 : Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en-US", { maximumFractionDigits: Math.min(digits, 6) });
}

function section(result: Result): string {
  const { machine, versions } = result;
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const rows = result.figures.map(({ name, value, unit, spread }) => {
    const around = spread === undefined ? "" : `± ${readable(spread * 100)} %`;
    return `| \`${name}\` | ${readable(value)} | ${unit} | ${around} |`;
  });
  return [
    `## ${result.name}`,
    "",
    `${result.date.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, ` +
      `${readable(machine.memoryBytes / 2 ** 30)} GiB, Node ${machine.node}, OpenSSL ${machine.openssl}` +
      `${packages.length === 0 ? "" : `, ${packages.join(", ")}`}. ` +
      `Engine: ${result.engine}. Median of ${result.runs} runs; the spread is half the distance ` +
      "between the slowest and the fastest, relative to the median.",
    "",
    "| figure | value | unit | spread |",
    "|---|---:|---|---:|",
    ...rows,
    "",
    ...result.notes.map((note) => `- ${note}`),
    ...(result.notes.length === 0 ? [] : [""]),
  ].join("\n");
}

const results = globSync("bench/results", /\.json$/).map((name) =>
  readJson<Result>(`bench/results/${name}`),
);
const text = readText(file);
const from = text.indexOf(begin);
const to = text.indexOf(end);
if (from === -1 || to < from) throw new Error(`${file} has lost its markers`);
const sections = results.map(section);
const written = `${text.slice(0, from + begin.length)}\n\n${sections.join("\n")}\n${text.slice(to)}`;

if (process.argv.includes("--check")) {
  const stale = written !== text;
  report(
    "benchmarks",
    stale ? [`${file} is not in step with bench/results: npm run docs:generate`] : [],
    `${results.length} results, ${file} is in step`,
  );
} else {
  writeFileSync(file, written);
}
