/** Reading a table: streaming batches of encoded keys. */
import type { Encodable } from "@vivarium/core";
import { TablesError } from "./errors.ts";
import {
  describeKeys,
  type KeyBatch,
  type KeyColumn,
  KeyEncoder,
  type KeyMatch,
  type PayloadColumns,
  type TableCounts,
} from "./keys.ts";
import {
  findColumn,
  openSource,
  quoted,
  type Source,
  type SourceColumn,
  type TableFormat,
  type TableInput,
} from "./source.ts";

export interface OpenTableOptions extends TableInput {
  /** The columns of the key, in the order both parties agreed on. */
  readonly keys: readonly KeyColumn[];
  /** Default `all`. */
  readonly match?: KeyMatch;
  /** Columns whose values go with each key. Default: none. */
  readonly payload?: PayloadColumns;
}

/** An open table. Close it: it holds a database. */
export interface Table extends AsyncDisposable {
  readonly format: TableFormat;
  /** Names of all columns, in the order of the file. */
  readonly columns: readonly string[];
  /** Rows of the table, known before the first batch. */
  readonly rows: number;
  /** {@link describeKeys} of this table's keys. */
  readonly description: Encodable;
  /** Counts of the batches handed out so far; final when the iteration has ended. */
  readonly counts: TableCounts;
  /**
   * The keys, in row order. Rows are read as they are asked for, so the consumer sets the pace.
   * One iteration at a time; a new one starts from the first row.
   */
  batches(): AsyncGenerator<KeyBatch, void, undefined>;
  close(): Promise<void>;
}

/**
 * Opens a table and checks what can be checked before its rows are read: that the file has its
 * form, the key columns, and no more than the limits.
 * @throws TablesError, or CoreError `aborted`.
 */
export async function openTable(options: OpenTableOptions): Promise<Table> {
  const description = describeKeys(options.keys, options.match);
  const source = await openSource(options);
  try {
    const columns = options.keys.map((key) => keyColumn(source, key.column));
    for (const name of options.payload?.columns ?? []) columns.push(keyColumn(source, name));
    return tableOf(source, columns, options, description);
  } catch (thrown) {
    source.database.close();
    throw thrown;
  }
}

function tableOf(
  source: Source,
  columns: readonly SourceColumn[],
  options: OpenTableOptions,
  description: Encodable,
): Table {
  let counts: TableCounts = { rows: 0, keys: 0, missing: 0, invalid: 0 };
  let busy = false;
  let closed = false;

  async function* batches(): AsyncGenerator<KeyBatch, void, undefined> {
    if (busy || closed) {
      throw new TablesError(
        "invalid-argument",
        closed ? "The table is closed." : "The table is being read already.",
      );
    }
    busy = true;
    counts = { rows: 0, keys: 0, missing: 0, invalid: 0 };
    try {
      for await (const step of readKeys(source, columns, options)) {
        counts = step.counts;
        if (step.batch !== undefined) yield step.batch;
      }
      // The scan and DuckDB count rows by different code: a difference would be a lost row.
      if (counts.rows !== source.rows) throw changed(source);
    } catch (thrown) {
      throw source.database.failure(thrown);
    } finally {
      busy = false;
    }
  }

  const close = async (): Promise<void> => {
    closed = true;
    source.database.close();
  };
  return {
    format: source.format,
    columns: source.columns.map((column) => column.name),
    rows: source.rows,
    description,
    get counts() {
      return counts;
    },
    batches,
    close,
    [Symbol.asyncDispose]: close,
  };
}

interface Step {
  readonly counts: TableCounts;
  readonly batch?: KeyBatch;
}

async function* readKeys(
  source: Source,
  columns: readonly SourceColumn[],
  { keys, payload, match }: OpenTableOptions,
): AsyncGenerator<Step> {
  const { limits } = source;
  const encoder = new KeyEncoder(keys, limits, payload, match);
  const wanted = columns.map((column, i) => `${column.text} AS k${i}`).join(", ");
  const result = await source.database.stream(`SELECT ${wanted} FROM ${source.relation}`);
  let row = 0;
  const left = { missing: 0, invalid: 0 };
  const counts = (): TableCounts => ({
    rows: row,
    keys: row - left.missing - left.invalid,
    ...left,
  });
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    const vectors = columns.map((_, i) => chunk.getColumnVector(i));
    let at = 0;
    const read = (column: number): string | null =>
      (vectors[column]?.getItem(at) ?? null) as string | null;
    for (at = 0; at < chunk.rowCount; at++) {
      if (row >= source.rows) throw changed(source);
      const outcome = encoder.add(row, read);
      row++;
      if (outcome !== "key") left[outcome]++;
      if (encoder.count >= limits.batchRows || encoder.bytes >= limits.batchBytes) {
        yield { counts: counts(), batch: encoder.take() };
      }
    }
  }
  if (encoder.count > 0) yield { counts: counts(), batch: encoder.take() };
  yield { counts: counts() };
}

/** Types whose text form is one and the same for equal values, see the README. */
const textTypes =
  /^(VARCHAR|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|BOOLEAN|DATE|UUID|DECIMAL\(.*|ENUM\(.*|TIME|TIMESTAMP(_S|_MS|_NS)?)$/;

function keyColumn(source: Source, name: string): SourceColumn {
  const column = findColumn(source, name);
  if (!textTypes.test(column.type)) {
    throw new TablesError(
      "invalid-argument",
      `Column ${quoted(name)} of ${source.name} is ${column.type.slice(0, 40)}, which has no canonical text: such a column must be text, a whole or decimal number, a date or time without zone, a boolean or a UUID.`,
    );
  }
  return column;
}

function changed(source: Source): TablesError {
  return new TablesError(
    "malformed",
    `${source.name} gave another number of rows than its ${source.rows}: it changed while it was read, or is not well-formed.`,
  );
}
