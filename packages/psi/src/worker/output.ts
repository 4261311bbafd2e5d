/** Between tables and protocol: what goes with a key, and what comes back of it. */
import { fromUtf8 } from "@vivarium/core";
import { type AddedColumns, type PayloadColumns, writeJoined } from "@vivarium/tables";
import { PsiError } from "../errors.ts";
import type { PsiResult } from "../options.ts";
import { decimalText } from "../payload.ts";
import type { PsiWorkerConfig } from "./config.ts";
import type { PsiWorkerSummary } from "./events.ts";

/** Columns of the sender's table that go with its keys. A label is a JSON array of texts and nulls. */
export function payloadColumns({ mode, labels, sum }: PsiWorkerConfig): PayloadColumns | undefined {
  if (mode === "labels" && labels !== undefined) return { columns: labels.columns, form: "json" };
  if (mode === "sum" && sum !== undefined) return { columns: [sum.column], form: "text" };
  return undefined;
}

/** @returns the rows written, or null where this side writes none. */
export async function writeResult(
  config: PsiWorkerConfig,
  { rows, labels }: PsiResult,
  signal: AbortSignal,
): Promise<number | null> {
  if (rows === undefined || config.output === undefined) return null;
  const { keys: _keys, ...input } = config.input;
  const added = labels === undefined ? {} : { added: addedColumns(config, labels) };
  const written = await writeJoined({
    input: { ...input, signal },
    rows,
    ...config.output,
    ...added,
  });
  return written.rows;
}

function addedColumns(
  config: PsiWorkerConfig,
  { bytes, offsets }: NonNullable<PsiResult["labels"]>,
): AddedColumns {
  const names = config.labels?.columns ?? [];
  return {
    names,
    values: (i) => readLabel(bytes.subarray(offsets[i], offsets[i + 1]), names.length),
  };
}

/** @throws PsiError `protocol` for a label that is no array of so many texts and nulls. */
export function readLabel(bytes: Uint8Array, columns: number): readonly (string | null)[] {
  let values: unknown;
  try {
    values = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new PsiError("protocol", "A label of the peer is not of the agreed form.", { cause });
  }
  const fits =
    Array.isArray(values) &&
    values.length === columns &&
    values.every((value) => value === null || typeof value === "string");
  if (!fits) throw new PsiError("protocol", "A label of the peer is not of the agreed form.");
  return values as (string | null)[];
}

/** Mean and deviation are rounded; the sum is exact. */
export function statisticsOf(
  config: PsiWorkerConfig,
  { statistics }: PsiResult,
): PsiWorkerSummary["statistics"] {
  if (statistics === undefined || config.sum === undefined) return null;
  const { values, sum, sumOfSquares, decimals } = statistics;
  const unit = 10 ** -decimals;
  const n = BigInt(values);
  // n Σv² - (Σv)² before any rounding: the difference of two large numbers would lose the digits.
  const spread = n * sumOfSquares - sum * sum;
  return {
    column: config.sum.column,
    values,
    sum: decimalText(sum, decimals),
    mean: values === 0 ? 0 : (Number(sum) / values) * unit,
    standardDeviation: values === 0 ? 0 : (Math.sqrt(Number(spread)) / values) * unit,
  };
}
