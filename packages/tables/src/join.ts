/** Writing the matched rows of the own table: all of them, or no file. */
import { randomBytes } from "node:crypto";
import { open, realpath, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CoreError } from "@vivarium/core";
import { identifier, literal } from "./duck.ts";
import { causedBy, TablesError } from "./errors.ts";
import {
  formatOf,
  openSource,
  quoted,
  type Source,
  type TableFormat,
  type TableInput,
} from "./source.ts";

export interface WriteJoinedOptions {
  /** The table the row numbers refer to, with the options it was opened with. */
  readonly input: TableInput;
  /** 0-based row numbers, strictly ascending. */
  readonly rows: Uint32Array | Float64Array;
  /** Where to write. An existing file is replaced, in one step, when the new one is complete. */
  readonly path: string;
  /** Default: by the ending of `path`. */
  readonly format?: TableFormat;
  /**
   * Name of the first column of the output, which holds the 0-based row numbers. Default
   * `row_number`, or `row_number_2`, … if the table has that column.
   */
  readonly rowNumberColumn?: string;
  /** Columns behind the table's own. */
  readonly added?: AddedColumns;
}

/** Columns that are not in the table. */
export interface AddedColumns {
  /** Their names; one that the table has gets a suffix. */
  readonly names: readonly string[];
  /** Values for row `rows[index]`, one for each name. */
  values(index: number): readonly (string | null)[];
}

export interface WrittenTable {
  readonly rows: number;
  /** Names of the columns as written, the one with row numbers first. */
  readonly columns: readonly string[];
}

/**
 * Writes the given rows, in row order, with all columns of the table, into a file of mode 0600.
 * @throws TablesError, or CoreError `aborted`; then nothing has changed at `path`.
 */
export async function writeJoined(options: WriteJoinedOptions): Promise<WrittenTable> {
  const format = options.format ?? formatOf(options.path);
  const name = basename(options.path);
  const directory = await outputDirectory(options.path, name);
  const temporary = join(directory, `.vivarium-${randomBytes(12).toString("hex")}.tmp`);
  const source = await openSource(options.input, [temporary]);
  let created = false;
  try {
    await refuseInput(options, source);
    const bits = bitmap(options.rows, source);
    const { added } = options;
    const columns = outputColumns(source, format, options.rowNumberColumn, added?.names ?? []);
    if (added !== undefined) {
      await source.database.append("added", added.names.length, addedRows(options.rows, added));
    }
    // Created here and not by DuckDB, for the mode and so that no link is followed.
    await (await open(temporary, "wx", 0o600)).close();
    created = true;
    const written = await source.database.copy(
      copySql(source, format, columns, temporary, added?.names.length),
      bits,
    );
    // A text header is a row of the COPY.
    const expected = options.rows.length + (isText(format) ? 1 : 0);
    if (written !== expected) {
      throw new TablesError(
        "write-failed",
        `${name}: ${written} rows came out instead of ${expected}; the input changed meanwhile.`,
      );
    }
    await commit(temporary, join(directory, name), directory);
    created = false;
    return { rows: options.rows.length, columns };
  } catch (thrown) {
    if (thrown instanceof TablesError || thrown instanceof CoreError) throw thrown;
    const code = (thrown as NodeJS.ErrnoException).code;
    throw causedBy(thrown, "write-failed", `Cannot write ${name}: ${code ?? "unknown error"}.`);
  } finally {
    source.database.close();
    if (created) await rm(temporary, { force: true });
  }
}

async function outputDirectory(path: string, name: string): Promise<string> {
  if (name === "" || name === "." || name === "..") {
    throw new TablesError("invalid-argument", "The output path does not name a file.");
  }
  try {
    return await realpath(dirname(path));
  } catch (cause) {
    throw causedBy(cause, "write-failed", `Cannot write ${name}: its directory does not exist.`);
  }
}

/** Replacing the input by a part of itself is never what somebody wants. */
async function refuseInput(options: WriteJoinedOptions, source: Source): Promise<void> {
  const input = await realpath(options.input.path);
  const output = await realpath(options.path).catch(() => undefined);
  if (input === output) {
    throw new TablesError("invalid-argument", `The output would replace the input ${source.name}.`);
  }
}

/** The data is on the disk before the name is: a crash leaves the old file or the new one. */
async function commit(temporary: string, path: string, directory: string): Promise<void> {
  const file = await open(temporary, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const parent = await open(directory, "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}

/**
 * Matched rows as DuckDB's BIT: one bit a row, whereas a join would hold a hash table and may
 * reorder. Layout: one byte with the number of padding bits, which come first and are 1.
 */
function bitmap(rows: Uint32Array | Float64Array, source: Source): Uint8Array {
  const padding = (8 - (source.rows % 8)) % 8;
  const bits = new Uint8Array(1 + (source.rows + padding) / 8);
  bits[0] = padding;
  if (bits.length > 1) bits[1] = 0xff << (8 - padding);
  let previous = -1;
  for (const row of rows) {
    if (!Number.isInteger(row) || row <= previous || row >= source.rows) {
      throw new TablesError(
        "invalid-argument",
        `Row numbers must ascend strictly and be less than ${source.rows}, the rows of ${source.name}.`,
      );
    }
    previous = row;
    const at = row + padding;
    bits[1 + Math.floor(at / 8)] = (bits[1 + Math.floor(at / 8)] as number) | (0x80 >> (at % 8));
  }
  return bits;
}

function isText(format: TableFormat): boolean {
  return format === "csv" || format === "tsv";
}

/** Row numbers first; text formats keep the names, the others need them to differ. */
function outputColumns(
  source: Source,
  format: TableFormat,
  requested: string | undefined,
  added: readonly string[],
): readonly string[] {
  const own = source.columns.map((column) => column.name);
  const all = new Set(own.map((name) => name.toLowerCase()));
  for (const name of added) {
    const free = freeName(name, all);
    all.add(free.toLowerCase());
    own.push(free);
  }
  const taken = new Set(own.map((name) => name.toLowerCase()));
  if (requested !== undefined && (requested === "" || taken.has(requested.toLowerCase()))) {
    throw new TablesError(
      "invalid-argument",
      `The column of row numbers cannot be ${quoted(requested)}: ${source.name} has that column, or the name is empty.`,
    );
  }
  const rowNumber = requested ?? freeName("row_number", taken);
  if (isText(format)) return [rowNumber, ...own];
  // DuckDB's names do not differ by case, and it would rename or refuse on its own.
  const used = new Set([rowNumber.toLowerCase()]);
  const distinct = own.map((name, i) => {
    const free = freeName(name === "" ? `column${i + 1}` : name, used);
    used.add(free.toLowerCase());
    return free;
  });
  return [rowNumber, ...distinct];
}

function* addedRows(
  rows: WriteJoinedOptions["rows"],
  added: AddedColumns,
): Generator<readonly [number, ...(string | null)[]]> {
  for (const [i, row] of rows.entries()) yield [row, ...added.values(i)];
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  let free = name;
  for (let i = 2; taken.has(free.toLowerCase()); i++) free = `${name}_${i}`;
  return free;
}

function copySql(
  source: Source,
  format: TableFormat,
  columns: readonly string[],
  path: string,
  added = 0,
): string {
  const typed = format === "jsonl" || (format === "parquet" && source.format === "parquet");
  const cells = source.columns.map((column) => (typed ? column.value : column.text));
  const taken = new Set(source.columns.map((column) => column.name.toLowerCase()));
  const place = identifier(freeName("row_place", taken));
  const row = isText(format) ? `CAST(${place} AS VARCHAR)` : place;
  const more = Array.from({ length: added }, (_, i) => `added.a${i}`);
  const selected = [row, ...cells, ...more].map((cell, i) =>
    isText(format) ? cell : `${cell} AS ${identifier(columns[i] as string)}`,
  );
  const matched =
    `SELECT ${selected.join(", ")} FROM (SELECT *, row_number() OVER () - 1 AS ${place} ` +
    `FROM ${source.relation})${added === 0 ? "" : ` JOIN added ON added.place = ${place}`} ` +
    `WHERE get_bit(getvariable('matched'), CAST(${place} AS INTEGER)) = 1` +
    // A hash join keeps no order.
    (added === 0 ? "" : ` ORDER BY ${place}`);
  // The header as a row: DuckDB would rename columns that differ by case only.
  const header = `SELECT ${columns.map(literal).join(", ")}`;
  const query = isText(format) ? `${header} UNION ALL (${matched})` : matched;
  return `COPY (${query}) TO ${literal(path)} (${outputOptions(format)}, USE_TMP_FILE false)`;
}

function outputOptions(format: TableFormat): string {
  if (format === "parquet") return "FORMAT parquet, COMPRESSION zstd";
  if (format === "jsonl") return "FORMAT json, ARRAY false, COMPRESSION 'uncompressed'";
  const delimiter = literal(format === "tsv" ? "\t" : ",");
  // NULL is an empty field, the empty text is "": both survive being read again.
  return `FORMAT csv, HEADER false, DELIMITER ${delimiter}, QUOTE '"', ESCAPE '"', NULLSTR '', COMPRESSION 'none'`;
}
