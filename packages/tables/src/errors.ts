/** Errors of this package. */
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const tablesErrorCodes = [
  /** The file is absent, is not a file, or may not be read. */
  "not-found",
  /** The file does not have its format; the message names the line where one is known. */
  "malformed",
  /** A column that was asked for is not in the table, or is there twice. */
  "missing-column",
  /** Options outside their documented range. */
  "invalid-argument",
  /** A named limit (rows, columns, bytes of a record or key, memory) is exceeded. */
  "limit-exceeded",
  /** The output could not be written; nothing was left at its path. */
  "write-failed",
  /** The database failed in a way that has no code of its own. */
  "failed",
] as const;
export type TablesErrorCode = (typeof tablesErrorCodes)[number];

/** Messages name files, lines and columns, never the content of a cell. */
export class TablesError extends VivariumError<TablesErrorCode> {
  override readonly name = "TablesError";
  readonly domain = "tables";
}

/** An error of this package over the one that led to it. */
export function causedBy(cause: unknown, code: TablesErrorCode, message: string): TablesError {
  return new TablesError(code, message, { cause });
}

/** How to rebuild a {@link TablesError} behind a thread. */
export const tablesErrorClass: ErrorClass = {
  domain: "tables",
  codes: tablesErrorCodes,
  create: (code, message) => new TablesError(code as TablesErrorCode, message),
};
