/** A table as DuckDB reads it: its columns by name, and the SQL that gives them. */
import { realpath, stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import { type Database, identifier, literal, openDatabase } from "./duck.ts";
import { causedBy, TablesError } from "./errors.ts";
import { resolveLimits, type TableLimits } from "./limits.ts";
import { type CsvDialect, findMalformedJson, scanCsv, scanJsonLines } from "./text.ts";

export type TableFormat = "csv" | "tsv" | "parquet" | "jsonl";

/** A file that holds a table. UTF-8, not compressed. */
export interface TableInput {
  readonly path: string;
  /** Default: by the name's ending (`.csv`, `.tsv` or `.tab`, `.parquet`, `.jsonl` or `.ndjson`). */
  readonly format?: TableFormat;
  /** CSV only: one ASCII character. Default `,`; in TSV always a tab. */
  readonly delimiter?: string;
  /** CSV and TSV: `""` if quotes mean nothing. Default `"`. */
  readonly quote?: '"' | "";
  /** CSV and TSV: whether the first record names the columns. Default true. */
  readonly header?: boolean;
  readonly limits?: Partial<TableLimits>;
  readonly signal?: AbortSignal;
}

/** A column and how to get it: `text` as the key uses it, `value` with the type of the file. */
export interface SourceColumn {
  readonly name: string;
  readonly text: string;
  readonly value: string;
  /** DuckDB's name of the type in Parquet files; VARCHAR elsewhere. */
  readonly type: string;
}

/** An open table. The caller closes `database`. */
export interface Source {
  readonly database: Database;
  readonly format: TableFormat;
  readonly name: string;
  readonly columns: readonly SourceColumn[];
  /** What stands after FROM. */
  readonly relation: string;
  /** Rows of the table. */
  readonly rows: number;
  readonly limits: TableLimits;
}

/** @param alsoAllowed files besides the input that the database may touch. */
export async function openSource(
  input: TableInput,
  alsoAllowed: readonly string[] = [],
): Promise<Source> {
  const limits = resolveLimits(input.limits);
  const name = basename(input.path);
  const format = input.format ?? formatOf(input.path);
  const dialect = format === "csv" || format === "tsv" ? dialectOf(input, format) : undefined;
  const path = await realFile(input.path, name);
  const shape =
    dialect === undefined ? undefined : await scanCsv(path, name, dialect, limits, input.signal);
  const lines =
    format === "jsonl" ? await scanJsonLines(path, name, limits, input.signal) : undefined;
  const database = await openDatabase([path, ...alsoAllowed], name, limits, input.signal);
  try {
    const common = { database, format, name, limits };
    let source: Source;
    if (dialect !== undefined && shape !== undefined) {
      const header = input.header ?? true;
      const names = header ? shape.first : shape.first.map((_, i) => `column${i + 1}`);
      const rows = header ? Math.max(0, shape.records - 1) : shape.records;
      source = {
        ...common,
        columns: names.map((column, i) => ({
          name: column,
          text: `c${i}`,
          value: `c${i}`,
          type: "VARCHAR",
        })),
        relation: csvRelation(path, dialect, header, names.length, limits),
        rows,
      };
      if (names.length === 0) throw new TablesError("malformed", `${name} is empty: no header.`);
    } else if (format === "parquet") source = { ...common, ...(await parquet(database, path)) };
    else source = { ...common, ...(await jsonLines(database, path, lines ?? 0, limits)) };
    requireShape(source);
    return source;
  } catch (thrown) {
    database.close();
    if (format === "jsonl" && thrown instanceof TablesError && thrown.code === "malformed") {
      const line = await findMalformedJson(path, name, input.signal);
      if (line !== undefined) {
        throw causedBy(thrown, "malformed", `${name}, line ${line}: not valid JSON.`);
      }
    }
    throw thrown;
  }
}

/**
 * The column of that name.
 * @throws TablesError `missing-column`, listing what there is.
 */
export function findColumn(source: Source, name: string): SourceColumn {
  const found = source.columns.filter((column) => column.name === name);
  if (found.length === 1) return found[0] as SourceColumn;
  if (found.length > 1) {
    throw new TablesError(
      "missing-column",
      `${source.name} has ${found.length} columns named ${quoted(name)}: rename all but one.`,
    );
  }
  const shown = source.columns.slice(0, 40).map((column) => quoted(column.name));
  const more = source.columns.length > 40 ? ` and ${source.columns.length - 40} more` : "";
  throw new TablesError(
    "missing-column",
    `${source.name} has no column ${quoted(name)}. It has: ${shown.join(", ") || "none"}${more}.`,
  );
}

/** A name as it may stand in a message: bounded, control characters escaped. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name);
}

/** @throws TablesError `invalid-argument`. */
export function formatOf(path: string): TableFormat {
  const ending = extname(path).toLowerCase();
  if (ending === ".csv") return "csv";
  if (ending === ".tsv" || ending === ".tab") return "tsv";
  if (ending === ".parquet") return "parquet";
  if (ending === ".jsonl" || ending === ".ndjson") return "jsonl";
  throw new TablesError(
    "invalid-argument",
    `Cannot tell the format of ${basename(path)} by its ending: name it (csv, tsv, parquet, jsonl).`,
  );
}

function dialectOf(input: TableInput, format: "csv" | "tsv"): CsvDialect {
  const delimiter = input.delimiter ?? (format === "tsv" ? "\t" : ",");
  const quote = input.quote ?? '"';
  if (format === "tsv" && delimiter !== "\t") {
    throw new TablesError("invalid-argument", "A TSV file is delimited by tabs: use format csv.");
  }
  if (!/^[\t!#$%&'()*+,\-./:;<=>?@[\]^_`{|}~]$/.test(delimiter)) {
    throw new TablesError(
      "invalid-argument",
      'The delimiter must be a tab or one ASCII punctuation character, other than " and \\.',
    );
  }
  if (quote !== '"' && quote !== "") {
    throw new TablesError("invalid-argument", 'The quote must be " or none.');
  }
  return { delimiter, quote };
}

/** The file behind the path, links followed: DuckDB's list of allowed paths knows no links. */
async function realFile(path: string, name: string): Promise<string> {
  try {
    const real = await realpath(path);
    if ((await stat(real)).isFile()) return real;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "error";
    const message = `Cannot read ${name}: ${code === "ENOENT" ? "there is no such file" : code}.`;
    throw causedBy(cause, "not-found", message);
  }
  throw new TablesError("not-found", `Cannot read ${name}: it is not a regular file.`);
}

function csvRelation(
  path: string,
  dialect: CsvDialect,
  header: boolean,
  columns: number,
  limits: TableLimits,
): string {
  const types = Array.from({ length: columns }, (_, i) => `'c${i}': 'VARCHAR'`).join(", ");
  // What DuckDB would guess is said: a guess may differ from file to file. Except the line end, which
  // the scan has checked: DuckDB 1.5 silently reads nothing with new_line = '\\r\\n' in strict mode.
  const options = [
    "auto_detect = false",
    `header = ${header}`,
    `delim = ${literal(dialect.delimiter)}`,
    `quote = ${literal(dialect.quote)}`,
    `escape = ${literal(dialect.quote)}`,
    "comment = ''",
    "skip = 0",
    "nullstr = ''",
    "allow_quoted_nulls = false",
    "all_varchar = true",
    "strict_mode = true",
    "null_padding = false",
    "ignore_errors = false",
    "parallel = false",
    "compression = 'none'",
    "encoding = 'utf-8'",
    "hive_partitioning = false",
    `max_line_size = ${limits.maxRecordBytes + 16}`,
    `columns = {${types}}`,
  ];
  return `read_csv(${literal(path)}, ${options.join(", ")})`;
}

type Shape = Pick<Source, "columns" | "relation" | "rows">;

async function parquet(database: Database, path: string): Promise<Shape> {
  const relation = `read_parquet(${literal(path)}, hive_partitioning = false)`;
  const described = await database.rows(`DESCRIBE SELECT * FROM ${relation}`);
  const counted = await database.rows(`SELECT count(*) FROM ${relation}`);
  return {
    relation,
    rows: Number(counted[0]?.[0]),
    columns: described.map(([name = "", type = ""]) => ({
      name,
      text: `CAST(${identifier(name)} AS VARCHAR)`,
      value: identifier(name),
      type,
    })),
  };
}

async function jsonLines(
  database: Database,
  path: string,
  rows: number,
  limits: TableLimits,
): Promise<Shape> {
  const objects =
    `read_json_objects(${literal(path)}, format = 'newline_delimited', compression = ` +
    `'uncompressed', hive_partitioning = false, maximum_object_size = ${limits.maxRecordBytes + 16})`;
  // The union of all names, in order of their first appearance.
  const found = await database.rows(
    `SELECT name FROM (SELECT unnest(names) AS name, row, generate_subscripts(names, 1) AS place
     FROM (SELECT json_keys(json) AS names, row_number() OVER () AS row FROM ${objects}))
     GROUP BY name ORDER BY min(row * 65536 + place) LIMIT ${limits.maxColumns + 1}`,
  );
  const names = found.map(([name = ""]) => name);
  // One list of JSON pointers (RFC 6901), so that each object is parsed once.
  const pointers = names.map((name) =>
    literal(`/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`),
  );
  const relation =
    names.length === 0
      ? objects
      : `(SELECT json_extract_string(json, [${pointers.join(", ")}]) AS texts, ` +
        `json_extract(json, [${pointers.join(", ")}]) AS vals FROM ${objects})`;
  return {
    relation,
    rows,
    columns: names.map((name, i) => ({
      name,
      text: `texts[${i + 1}]`,
      value: `vals[${i + 1}]`,
      type: "VARCHAR",
    })),
  };
}

function requireShape(source: Source): void {
  const { limits, name } = source;
  if (source.columns.length > limits.maxColumns) {
    throw new TablesError(
      "limit-exceeded",
      `${name} has more than ${limits.maxColumns} columns (maxColumns).`,
    );
  }
  if (!(source.rows <= limits.maxRows)) {
    throw new TablesError(
      "limit-exceeded",
      `${name} has ${source.rows} rows, over the limit of ${limits.maxRows} (maxRows).`,
    );
  }
}
