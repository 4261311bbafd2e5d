/** Limits of this package, see the table in the README. */
import { TablesError } from "./errors.ts";

export interface TableLimits {
  /** Rows of one table. At most 2^31 - 1: DuckDB counts bits so. */
  readonly maxRows: number;
  /** Columns of one table. */
  readonly maxColumns: number;
  /** Bytes of one record as it stands in a CSV, TSV or JSON lines file, header included. */
  readonly maxRecordBytes: number;
  /** Bytes of one encoded key, all columns together. */
  readonly maxKeyBytes: number;
  /** Rows of one batch of keys. */
  readonly batchRows: number;
  /** Bytes of encoded keys after which a batch ends. */
  readonly batchBytes: number;
  /** Memory that the database may take, in MiB. Nothing is spilled to disk. */
  readonly memoryMb: number;
  /** Threads of the database. One record follows another, so one is nearly as fast as many. */
  readonly threads: number;
}

export const defaultTableLimits: TableLimits = {
  maxRows: 0x7fff_ffff,
  maxColumns: 2_048,
  maxRecordBytes: 1024 * 1024,
  maxKeyBytes: 16 * 1024,
  batchRows: 65_536,
  batchBytes: 8 * 1024 * 1024,
  memoryMb: 512,
  threads: 1,
};

const highest: TableLimits = {
  maxRows: 0x7fff_ffff,
  maxColumns: 16_384,
  maxRecordBytes: 16 * 1024 * 1024,
  maxKeyBytes: 1024 * 1024,
  batchRows: 1_048_576,
  batchBytes: 256 * 1024 * 1024,
  memoryMb: 1_048_576,
  threads: 256,
};

/** Defaults filled in, every value checked. @throws TablesError `invalid-argument`. */
export function resolveLimits(given: Partial<TableLimits> = {}): TableLimits {
  const limits = { ...defaultTableLimits, ...given };
  for (const name of Object.keys(highest) as (keyof TableLimits)[]) {
    const value = limits[name];
    const lowest = name === "memoryMb" ? 32 : 1;
    if (!Number.isInteger(value) || value < lowest || value > highest[name]) {
      throw new TablesError(
        "invalid-argument",
        `Limit ${name} must be a whole number from ${lowest} to ${highest[name]}.`,
      );
    }
  }
  return limits;
}
