/**
 * DuckDB, locked down: an in-memory database that may touch exactly the files it is given, loads no
 * extension, spills nothing to disk, and whose configuration cannot be changed again.
 */
import {
  DuckDBBitValue,
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBResult,
} from "@duckdb/node-api";
import { throwIfAborted, VivariumError } from "@vivarium/core";
import { TablesError } from "./errors.ts";
import type { TableLimits } from "./limits.ts";

/** A database for the files of one operation. */
export interface Database {
  /** Runs one statement and gives its rows as text. For small results only. */
  rows(sql: string): Promise<readonly (readonly string[])[]>;
  /** Runs one statement whose chunks are produced as they are fetched. */
  stream(sql: string): Promise<DuckDBResult>;
  /**
   * Runs a COPY, with the bits as the variable `matched`.
   * @returns the rows it wrote.
   */
  copy(sql: string, bits: Uint8Array): Promise<number>;
  /** Makes a table of texts, row by row. Columns: `place` and the rest VARCHAR `a0`, `a1`, … */
  append(
    table: string,
    columns: number,
    rows: Iterable<readonly [place: number, ...values: (string | null)[]]>,
  ): Promise<void>;
  /** Turns what DuckDB throws into a TablesError, or into `aborted` if the signal has fired. */
  failure(thrown: unknown): Error;
  close(): void;
}

/**
 * @param files absolute paths that may be read or written: nothing else can be.
 * @param name how messages call the table.
 */
export async function openDatabase(
  files: readonly string[],
  name: string,
  limits: TableLimits,
  signal?: AbortSignal,
): Promise<Database> {
  throwIfAborted(signal);
  const failure = (thrown: unknown): Error => {
    try {
      throwIfAborted(signal);
    } catch (aborted) {
      return aborted as Error;
    }
    return translate(thrown, name, limits);
  };
  let instance: DuckDBInstance | undefined;
  try {
    instance = await DuckDBInstance.create(":memory:", {
      threads: String(limits.threads),
      memory_limit: `${limits.memoryMb}MiB`,
      // Spilled rows would lie on the host's disk in the clear.
      temp_directory: "",
      preserve_insertion_order: "true",
      autoinstall_known_extensions: "false",
      autoload_known_extensions: "false",
      allow_community_extensions: "false",
      allow_unsigned_extensions: "false",
      allow_persistent_secrets: "false",
      extension_directory: "/dev/null/none",
      home_directory: "/dev/null/none",
    });
    const connection = await instance.connect();
    await lockDown(connection, files);
    return databaseOf(instance, connection, failure, signal);
  } catch (thrown) {
    instance?.closeSync();
    throw failure(thrown);
  }
}

/** The order matters: the list of paths can only be set before access is off, all before the lock. */
async function lockDown(connection: DuckDBConnection, files: readonly string[]): Promise<void> {
  await connection.run(`SET allowed_paths = [${files.map(literal).join(", ")}]`);
  await connection.run("SET enable_external_access = false");
  await connection.run("SET lock_configuration = true");
}

function databaseOf(
  instance: DuckDBInstance,
  connection: DuckDBConnection,
  failure: (thrown: unknown) => Error,
  signal: AbortSignal | undefined,
): Database {
  const interrupt = (): void => connection.interrupt();
  signal?.addEventListener("abort", interrupt, { once: true });
  let open = true;
  return {
    failure,
    async rows(sql) {
      try {
        const reader = await connection.runAndReadAll(sql);
        return reader.getRows().map((row) => row.map((value) => String(value)));
      } catch (thrown) {
        throw failure(thrown);
      }
    },
    async stream(sql) {
      try {
        return await connection.stream(sql);
      } catch (thrown) {
        throw failure(thrown);
      }
    },
    async copy(sql, bits) {
      try {
        await connection.run("SET VARIABLE matched = $1", [new DuckDBBitValue(bits)]);
        return (await connection.run(sql)).rowsChanged;
      } catch (thrown) {
        throw failure(thrown);
      }
    },
    async append(table, columns, rows) {
      try {
        const texts = Array.from({ length: columns }, (_, i) => `a${i} VARCHAR`);
        await connection.run(`CREATE TABLE ${table} (${["place BIGINT", ...texts].join(", ")})`);
        const appender = await connection.createAppender(table);
        for (const [place, ...values] of rows) {
          appender.appendBigInt(BigInt(place));
          for (const value of values) {
            if (value === null) appender.appendNull();
            else appender.appendVarchar(value);
          }
          appender.endRow();
        }
        appender.closeSync();
      } catch (thrown) {
        throw failure(thrown);
      }
    },
    close() {
      if (!open) return;
      open = false;
      signal?.removeEventListener("abort", interrupt);
      connection.disconnectSync();
      instance.closeSync();
    },
  };
}

/** A string literal of SQL. */
export function literal(text: string): string {
  // DuckDB ends a statement at a NUL; no path or name has one.
  if (text.includes("\0")) throw new TablesError("invalid-argument", "A name contains a NUL.");
  return `'${text.replaceAll("'", "''")}'`;
}

/** An identifier of SQL. */
export function identifier(name: string): string {
  if (name.includes("\0")) throw new TablesError("invalid-argument", "A name contains a NUL.");
  return `"${name.replaceAll('"', '""')}"`;
}

const csvReasons: readonly (readonly [RegExp, (match: RegExpExecArray) => string])[] = [
  [
    /Expected Number of Columns: (\d+) Found: (\d+)/,
    (match) => `expected ${match[1]} columns, found ${match[2]}`,
  ],
  [/Invalid unicode/i, () => "the text is not valid UTF-8"],
  [/unterminated quote/i, () => "a quoted value does not end"],
  [/Maximum line size/i, () => "the record is too long"],
];

/**
 * DuckDB quotes the offending line and whole option lists. Only the position and the reason pass:
 * a row of the user's table has no place in an error. The original stays as `cause`.
 */
function translate(thrown: unknown, name: string, limits: TableLimits): Error {
  if (thrown instanceof VivariumError) return thrown;
  const text = thrown instanceof Error ? thrown.message : "";
  const cause = { cause: thrown };
  if (text.startsWith("Out of Memory Error")) {
    return new TablesError(
      "limit-exceeded",
      `${name} needs more memory than the limit of ${limits.memoryMb} MiB (memoryMb).`,
      cause,
    );
  }
  const csv = /CSV Error on Line: (\d+)/.exec(text);
  if (csv !== null) {
    for (const [pattern, describe] of csvReasons) {
      const match = pattern.exec(text);
      if (match === null) continue;
      return new TablesError("malformed", `${name}, line ${csv[1]}: ${describe(match)}.`, cause);
    }
    return new TablesError("malformed", `${name}, line ${csv[1]}: not valid CSV.`, cause);
  }
  if (/CSV (Parser|Error|File)/i.test(text)) {
    return new TablesError("malformed", `${name} is not valid CSV with these options.`, cause);
  }
  if (/parquet|magic bytes|thrift/i.test(text)) {
    return new TablesError("malformed", `${name} is not a valid Parquet file.`, cause);
  }
  if (/json/i.test(text)) {
    return new TablesError("malformed", `${name} is not valid JSON lines.`, cause);
  }
  if (text.startsWith("Permission Error")) {
    return new TablesError("failed", `${name}: the database may not access this path.`, cause);
  }
  return new TablesError("failed", `${name}: the database could not finish.`, cause);
}
