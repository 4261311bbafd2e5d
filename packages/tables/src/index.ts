/** Tables in and out through a locked-down DuckDB: keys of rows, and rows of matched keys. */
export type { TablesErrorCode } from "./errors.ts";
export { TablesError, tablesErrorClass, tablesErrorCodes } from "./errors.ts";
export type { AddedColumns, WriteJoinedOptions, WrittenTable } from "./join.ts";
export { writeJoined } from "./join.ts";
export type { KeyBatch, KeyColumn, KeyMatch, PayloadColumns, TableCounts } from "./keys.ts";
export { describeKeys, encodeKey, maxKeyColumns } from "./keys.ts";
export type { TableLimits } from "./limits.ts";
export { defaultTableLimits } from "./limits.ts";
export type { Normaliser } from "./normalise.ts";
export {
  canonicalNormaliser,
  e164,
  email,
  lower,
  nfkc,
  requireNormaliser,
  trim,
} from "./normalise.ts";
export type { OpenTableOptions, Table } from "./open.ts";
export { openTable } from "./open.ts";
export type { TableFormat, TableInput } from "./source.ts";
