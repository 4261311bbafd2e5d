/**
 * Deduplication on what items hash to (points, or keyed hashes): equal items have equal records, of one
 * width whatever the items are. Without it a peer would see how often an item occurs.
 */
import type { Random } from "@vivarium/core";
import { RecordTable } from "@vivarium/curve25519";
import { PsiError } from "./errors.ts";

export class DistinctRecords {
  readonly #table: RecordTable;
  readonly #maxItems: number;
  #rows: Uint32Array<ArrayBuffer> = new Uint32Array(1024);
  /** Which distinct record each key is. */
  #which: Uint32Array<ArrayBuffer> = new Uint32Array(1024);
  #keys = 0;

  /** @param expected keys, if known: the tables then need not grow. */
  constructor(width: number, maxItems: number, random: Random, expected = 1024) {
    this.#table = new RecordTable(width, random, Math.min(maxItems, expected));
    this.#maxItems = maxItems;
  }

  /** Distinct records. */
  get size(): number {
    return this.#table.size;
  }

  /** Keys, duplicates included. */
  get keys(): number {
    return this.#keys;
  }

  /** Bytes of a record. */
  get width(): number {
    return this.#table.width;
  }

  /** The distinct records, in order of first appearance. */
  get records(): Uint8Array<ArrayBuffer> {
    return this.#table.records;
  }

  /** @returns the index of each record. @throws PsiError `size` as soon as there are more distinct records than agreed. */
  add(records: Uint8Array, rows: Uint32Array): Uint32Array<ArrayBuffer> {
    while (this.#keys + rows.length > this.#rows.length) this.#grow();
    this.#rows.set(rows, this.#keys);
    const indices = this.#table.add(records);
    this.#which.set(indices, this.#keys);
    this.#keys += rows.length;
    if (this.#table.size > this.#maxItems) {
      throw new PsiError(
        "size",
        `The own set has more than the agreed ${this.#maxItems} distinct items (maxItems).`,
      );
    }
    return indices;
  }

  /** Which distinct record each record of another list is, or `noRecord`. */
  find(records: Uint8Array): Uint32Array<ArrayBuffer> {
    return this.#table.find(records);
  }

  /**
   * Row numbers of the marked records, rising.
   * @param duplicates every row of a record, or only its first.
   */
  rowsOf(marked: Uint8Array, duplicates: "all" | "first"): Uint32Array<ArrayBuffer> {
    const rows = new Uint32Array(this.#keys);
    const seen = new Uint8Array(this.#table.size);
    let n = 0;
    for (let i = 0; i < this.#keys; i++) {
      const record = this.#which[i] as number;
      if (marked[record] === 0 || (duplicates === "first" && seen[record] === 1)) continue;
      seen[record] = 1;
      rows[n++] = this.#rows[i] as number;
    }
    // A row may have several keys.
    const sorted = rows.slice(0, n).sort();
    return sorted.filter((row, i) => i === 0 || row !== sorted[i - 1]);
  }

  /**
   * Which marked record each of these rows (rising, each with a marked key) is. The first marked key of a row
   * counts, in the order in which they came.
   */
  indicesOf(rows: Uint32Array, marked: Uint8Array): Uint32Array<ArrayBuffer> {
    const of = new Map<number, number>();
    for (let i = 0; i < this.#keys; i++) {
      const [row, record] = [this.#rows[i] as number, this.#which[i] as number];
      if (marked[record] === 1 && !of.has(row)) of.set(row, record);
    }
    return rows.map((row) => of.get(row) as number) as Uint32Array<ArrayBuffer>;
  }

  #grow(): void {
    const rows = new Uint32Array(2 * this.#rows.length);
    rows.set(this.#rows);
    this.#rows = rows;
    const which = new Uint32Array(2 * this.#which.length);
    which.set(this.#which);
    this.#which = which;
  }
}
