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

/**
 * @param total rows of the own table.
 * @returns the rows written, or null where this side writes none.
 */
export async function writeResult(
  config: PsiWorkerConfig,
  result: PsiResult,
  total: number,
  signal: AbortSignal,
): Promise<number | null> {
  const { rows: matched } = result;
  if (matched === undefined || config.output === undefined) return null;
  const { keys: _keys, match: _match, ...input } = config.input;
  const { rows: which = "matched", ...output } = config.output;
  const rows =
    which === "matched" ? matched : which === "all" ? upTo(total) : others(matched, total);
  const added = addedColumns(config, result, which, rows);
  const written = await writeJoined({
    input: { ...input, signal },
    rows,
    ...output,
    ...(added.names.length === 0 ? {} : { added }),
  });
  return written.rows;
}

function upTo(total: number): Uint32Array<ArrayBuffer> {
  const rows = new Uint32Array(total);
  for (let i = 0; i < total; i++) rows[i] = i;
  return rows;
}

/** The rows that are not in the rising list. */
function others(matched: Uint32Array, total: number): Uint32Array<ArrayBuffer> {
  const rows = new Uint32Array(total - matched.length);
  for (let row = 0, next = 0, n = 0; row < total; row++) {
    if (matched[next] === row) next++;
    else rows[n++] = row;
  }
  return rows;
}

/** `matched` where every row is written, and the columns of the sender. */
function addedColumns(
  config: PsiWorkerConfig,
  { rows: matched = new Uint32Array(0), labels }: PsiResult,
  which: "matched" | "unmatched" | "all",
  rows: Uint32Array,
): AddedColumns {
  const flag = which === "all" ? ["matched"] : [];
  const columns =
    labels === undefined || which === "unmatched" ? [] : (config.labels?.columns ?? []);
  const none = columns.map(() => null);
  let next = 0;
  return {
    names: [...flag, ...columns],
    // Asked for in rising order, as both lists are.
    values(i) {
      while (next < matched.length && (matched[next] as number) < (rows[i] as number)) next++;
      const found = matched[next] === rows[i];
      const values =
        found && labels !== undefined
          ? readLabel(
              labels.bytes.subarray(labels.offsets[next], labels.offsets[next + 1]),
              columns.length,
            )
          : none;
      return which === "all" ? [found ? "1" : "0", ...values] : values;
    },
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
