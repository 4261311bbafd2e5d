/**
 * Deduplication on points: equal items hash to equal points, so the table compares 32 bytes whatever
 * the items are. Without it a peer would see how often an item occurs.
 */
import type { Random } from "@vivarium/core";
import { pointBytes } from "@vivarium/curve25519";
import { PsiError } from "./errors.ts";
import { RecordTable } from "./record-table.ts";

export class DistinctPoints {
  readonly #table: RecordTable;
  readonly #maxItems: number;
  #rows: Uint32Array<ArrayBuffer> = new Uint32Array(1024);
  /** Which distinct point each key is. */
  #points: Uint32Array<ArrayBuffer> = new Uint32Array(1024);
  #keys = 0;

  /** @param expected keys, if known: the tables then need not grow. */
  constructor(maxItems: number, random: Random, expected = 1024) {
    this.#table = new RecordTable(pointBytes, random, Math.min(maxItems, expected));
    this.#maxItems = maxItems;
  }

  /** Distinct points. */
  get size(): number {
    return this.#table.size;
  }

  /** Keys, duplicates included. */
  get keys(): number {
    return this.#keys;
  }

  /** The distinct points, in order of first appearance. */
  get points(): Uint8Array<ArrayBuffer> {
    return this.#table.records;
  }

  /** @throws PsiError `size` as soon as there are more distinct points than agreed. */
  add(points: Uint8Array, rows: Uint32Array): void {
    while (this.#keys + rows.length > this.#rows.length) this.#grow();
    this.#rows.set(rows, this.#keys);
    const first = this.#keys;
    this.#table.addAll(points, (point, i) => {
      this.#points[first + i] = point;
    });
    this.#keys += rows.length;
    if (this.#table.size > this.#maxItems) {
      throw new PsiError(
        "size",
        `The own set has more than the agreed ${this.#maxItems} distinct items (maxItems).`,
      );
    }
  }

  /**
   * Row numbers of the marked points, rising.
   * @param duplicates every row of a point, or only its first.
   */
  rowsOf(marked: Uint8Array, duplicates: "all" | "first"): Uint32Array<ArrayBuffer> {
    const rows = new Uint32Array(this.#keys);
    const seen = new Uint8Array(this.#table.size);
    let n = 0;
    for (let i = 0; i < this.#keys; i++) {
      const point = this.#points[i] as number;
      if (marked[point] === 0 || (duplicates === "first" && seen[point] === 1)) continue;
      seen[point] = 1;
      rows[n++] = this.#rows[i] as number;
    }
    return rows.slice(0, n).sort();
  }

  #grow(): void {
    const rows = new Uint32Array(2 * this.#rows.length);
    rows.set(this.#rows);
    this.#rows = rows;
    const points = new Uint32Array(2 * this.#points.length);
    points.set(this.#points);
    this.#points = points;
  }
}
