/**
 * Keys: what the parties compare. One or more columns, each normalised, encoded injectively, so
 * that ("ab","c") and ("a","bc") are different keys.
 */
import type { Encodable } from "@vivarium/core";
import { TablesError } from "./errors.ts";
import type { TableLimits } from "./limits.ts";
import {
  canonicalNormaliser,
  compileNormalisers,
  type Normalise,
  type Normaliser,
} from "./normalise.ts";

/** One column of the key. */
export interface KeyColumn {
  /** Name in the file; `column1`, `column2`, … in files without header. */
  readonly column: string;
  /** The name both parties agreed on, where the files use different ones. Default: `column`. */
  readonly as?: string;
  /** Applied from left to right. Default: none, the text counts as it stands. */
  readonly normalise?: readonly Normaliser[];
}

/**
 * `all`: the columns together are one key. `any`: each column is a key of its own, under its agreed name, and a
 * row has as many keys as columns with a value.
 */
export type KeyMatch = "all" | "any";

/** Most columns a key may have. */
export const maxKeyColumns = 16;

/** Keys of a run of consecutive rows, in row order, without the rows that have none. */
export interface KeyBatch {
  /** The encoded keys, one after the other. A fresh buffer: may be transferred. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Key *i* is `bytes.subarray(offsets[i], offsets[i + 1])`; keys + 1 entries. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  /** 0-based row number of key *i* in the table; the header is not a row. May repeat, with match `any`. */
  readonly rows: Uint32Array<ArrayBuffer>;
  /** What goes with key *i*, in the same form, if it was asked for. */
  readonly payload?: {
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly offsets: Uint32Array<ArrayBuffer>;
  };
}

/** Columns whose values go with each key. */
export interface PayloadColumns {
  readonly columns: readonly string[];
  /** `json`: an array of the values, null for NULL. `text`: of one column, empty for NULL. */
  readonly form: "json" | "text";
}

/** What was counted so far; `rows = keys + missing + invalid`. */
export interface TableCounts {
  readonly rows: number;
  /** Rows with a key, duplicates included. */
  readonly keys: number;
  /** Left out: a key column is NULL, or empty after its normalisers; with match `any`, all of them. */
  readonly missing: number;
  /** Left out: an e-mail address or telephone number that does not parse. */
  readonly invalid: number;
}

/**
 * The canonical description of a key, for a config digest that both parties must share: agreed
 * names and normalisers with the version of their definition. The name of the file's own column is
 * not in it.
 * @throws TablesError `invalid-argument`.
 */
export function describeKeys(keys: readonly KeyColumn[], match: KeyMatch = "all"): Encodable {
  requireKeys(keys);
  return {
    encoding:
      match === "all"
        ? "u32be count, u32be length-prefixed UTF-8/1"
        : "any of: u32be count, u32be length-prefixed UTF-8 name and value/1",
    columns: keys.map((key) => ({
      name: key.as ?? key.column,
      normalise: (key.normalise ?? []).map(canonicalNormaliser),
    })),
  };
}

/**
 * The encoding of one key: `u32 count ‖ (u32 length ‖ UTF-8)*`, big-endian, the same as
 * `lengthPrefixed` of core.
 * @returns undefined with the reason if the row has no key.
 */
export function encodeKey(
  values: readonly (string | null)[],
  keys: readonly KeyColumn[],
  limits: Pick<TableLimits, "maxKeyBytes">,
): Uint8Array<ArrayBuffer> | "missing" | "invalid" {
  const encoder = new KeyEncoder(keys, { ...limits, batchRows: 1 });
  const outcome = encoder.add(0, (i) => values[i] ?? null);
  return outcome === "key" ? encoder.take().bytes : outcome;
}

/** Fills batches row by row without an object per row. */
export class KeyEncoder {
  readonly #normalise: readonly Normalise[];
  readonly #maxKeyBytes: number;
  readonly #capacity: number;
  #buffer: Buffer<ArrayBuffer>;
  #used = 0;
  #count = 0;
  #offsets: Uint32Array<ArrayBuffer>;
  #rows: Uint32Array<ArrayBuffer>;
  readonly #payload: PayloadBuffer | undefined;
  /** Agreed names of the columns, with match `any`. */
  readonly #names: readonly Buffer[] | undefined;

  constructor(
    keys: readonly KeyColumn[],
    limits: Pick<TableLimits, "maxKeyBytes" | "batchRows">,
    payload?: PayloadColumns,
    match: KeyMatch = "all",
  ) {
    requireKeys(keys);
    if (match === "any") this.#names = keys.map((key) => Buffer.from(key.as ?? key.column));
    // One row may bring several keys.
    const capacity = limits.batchRows + keys.length;
    if (payload !== undefined) this.#payload = new PayloadBuffer(payload, capacity);
    this.#normalise = keys.map((key) => compileNormalisers(key.normalise ?? []));
    this.#maxKeyBytes = limits.maxKeyBytes;
    this.#capacity = capacity;
    this.#buffer = Buffer.alloc(4096);
    this.#offsets = new Uint32Array(this.#capacity + 1);
    this.#rows = new Uint32Array(this.#capacity);
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#used + (this.#payload?.used ?? 0);
  }

  /**
   * @param read gives the text of key column *i*, or null; behind them, of payload column *i*.
   * @throws TablesError `limit-exceeded` naming the row.
   */
  add(row: number, read: (column: number) => string | null): "key" | "missing" | "invalid" {
    return this.#names === undefined
      ? this.#addAll(row, read)
      : this.#addAny(row, read, this.#names);
  }

  /** Every column that has a value is a key, in the order of the columns. */
  #addAny(
    row: number,
    read: (column: number) => string | null,
    names: readonly Buffer[],
  ): "key" | "missing" | "invalid" {
    let outcome: "key" | "missing" | "invalid" = "missing";
    for (const [i, name] of names.entries()) {
      const raw = read(i);
      const value = raw === null ? "" : (this.#normalise[i] as Normalise)(raw);
      if (value === "") continue;
      if (value === undefined) {
        if (outcome === "missing") outcome = "invalid";
        continue;
      }
      const start = this.#used;
      let at = start + 4;
      if (12 + name.length + value.length > this.#maxKeyBytes) throw this.#tooLong(row);
      this.#reserve(at + 8 + name.length + 3 * value.length);
      this.#buffer.writeUInt32BE(2, start);
      this.#buffer.writeUInt32BE(name.length, at);
      name.copy(this.#buffer, at + 4);
      at += 4 + name.length;
      const length = this.#buffer.write(value, at + 4, "utf8");
      this.#buffer.writeUInt32BE(length, at);
      at += 4 + length;
      if (at - start > this.#maxKeyBytes) throw this.#tooLong(row);
      this.#end(row, at, read);
      outcome = "key";
    }
    return outcome;
  }

  #end(row: number, at: number, read: (column: number) => string | null): void {
    this.#payload?.add((i) => read(this.#normalise.length + i));
    this.#rows[this.#count] = row;
    this.#used = at;
    this.#offsets[++this.#count] = at;
  }

  #addAll(row: number, read: (column: number) => string | null): "key" | "missing" | "invalid" {
    const start = this.#used;
    let at = start + 4;
    let invalid = false;
    for (let i = 0; i < this.#normalise.length; i++) {
      const raw = read(i);
      const value = raw === null ? "" : (this.#normalise[i] as Normalise)(raw);
      if (value === "") return "missing";
      // Go on: a missing column counts before an invalid one, whatever their order.
      if (value === undefined || invalid) {
        invalid = true;
        continue;
      }
      // UTF-8 takes at least one byte for each UTF-16 unit, so this bounds the reservation below.
      if (at - start + 4 + value.length > this.#maxKeyBytes) throw this.#tooLong(row);
      this.#reserve(at + 4 + 3 * value.length);
      const length = this.#buffer.write(value, at + 4, "utf8");
      this.#buffer.writeUInt32BE(length, at);
      at += 4 + length;
    }
    if (invalid) return "invalid";
    if (at - start > this.#maxKeyBytes) throw this.#tooLong(row);
    this.#buffer.writeUInt32BE(this.#normalise.length, start);
    this.#end(row, at, read);
    return "key";
  }

  /** The batch so far; the encoder is empty afterwards. */
  take(): KeyBatch {
    const batch: KeyBatch = {
      bytes: new Uint8Array(this.#buffer.subarray(0, this.#used)),
      offsets: this.#offsets.slice(0, this.#count + 1),
      rows: this.#rows.slice(0, this.#count),
      ...(this.#payload === undefined ? {} : { payload: this.#payload.take() }),
    };
    this.#used = 0;
    this.#count = 0;
    return batch;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(bytes, 2 * this.#buffer.length));
    this.#buffer.copy(larger, 0, 0, this.#buffer.length);
    this.#buffer = larger;
  }

  #tooLong(row: number): TablesError {
    return new TablesError(
      "limit-exceeded",
      `The key of row ${row} is over the limit of ${this.#maxKeyBytes} bytes (maxKeyBytes).`,
    );
  }
}

/** Payloads of a batch. */
class PayloadBuffer {
  readonly #columns: PayloadColumns;
  readonly #offsets: Uint32Array<ArrayBuffer>;
  #buffer: Buffer<ArrayBuffer> = Buffer.alloc(4096);
  #count = 0;
  used = 0;

  constructor(columns: PayloadColumns, batchRows: number) {
    if (columns.columns.length < 1 || (columns.form === "text" && columns.columns.length !== 1)) {
      throw new TablesError("invalid-argument", "A payload has one column, or several as json.");
    }
    this.#columns = columns;
    this.#offsets = new Uint32Array(batchRows + 1);
  }

  add(read: (column: number) => string | null): void {
    const { columns, form } = this.#columns;
    const text =
      form === "text" ? (read(0) ?? "") : JSON.stringify(columns.map((_, column) => read(column)));
    const needed = this.used + 3 * text.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(needed, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.used);
      this.#buffer = larger;
    }
    this.used += this.#buffer.write(text, this.used, "utf8");
    this.#offsets[++this.#count] = this.used;
  }

  take(): NonNullable<KeyBatch["payload"]> {
    const batch = {
      bytes: new Uint8Array(this.#buffer.subarray(0, this.used)),
      offsets: this.#offsets.slice(0, this.#count + 1),
    };
    this.used = 0;
    this.#count = 0;
    return batch;
  }
}

function requireKeys(keys: readonly KeyColumn[]): void {
  if (keys.length < 1 || keys.length > maxKeyColumns) {
    throw new TablesError(
      "invalid-argument",
      `A key has 1 to ${maxKeyColumns} columns, not ${keys.length}.`,
    );
  }
  const names = keys.map((key) => key.as ?? key.column);
  if (new Set(names).size !== names.length) {
    throw new TablesError("invalid-argument", "Two key columns have the same name.");
  }
  for (const key of keys) compileNormalisers(key.normalise ?? []);
}
