/** An exact set of fixed-width byte records on typed arrays: open addressing, no object per record. */
import type { Random } from "@vivarium/core";

export class RecordTable {
  readonly width: number;
  readonly #seeds: Uint32Array;
  #records: Uint8Array<ArrayBuffer>;
  /** Index + 1 of the record; 0 is free. At most half full. */
  #slots: Uint32Array<ArrayBuffer>;
  #size = 0;

  /**
   * @param random seeds the hash: records come from a peer, who could otherwise choose a million that
   * fall into one slot.
   */
  constructor(width: number, random: Random, expected = 1024) {
    this.width = width;
    this.#seeds = new Uint32Array(random.bytes(4 * (2 + Math.ceil(width / 4))).slice().buffer);
    this.#records = new Uint8Array(Math.max(16, expected) * width);
    this.#slots = new Uint32Array(slotsFor(expected));
  }

  get size(): number {
    return this.#size;
  }

  /** All records, in order of insertion: a view that lives until the next insertion. */
  get records(): Uint8Array<ArrayBuffer> {
    return this.#records.subarray(0, this.#size * this.width);
  }

  /** The index of the record at `at`; it is new if that equals the former `size`. */
  add(source: Uint8Array, at: number): number {
    if (2 * (this.#size + 1) > this.#slots.length) this.#grow();
    const slot = this.#slot(source, at);
    const found = this.#slots[slot] as number;
    if (found !== 0) return found - 1;
    const end = (this.#size + 1) * this.width;
    if (end > this.#records.length) {
      const larger = new Uint8Array(2 * this.#records.length);
      larger.set(this.#records);
      this.#records = larger;
    }
    this.#records.set(source.subarray(at, at + this.width), end - this.width);
    this.#slots[slot] = ++this.#size;
    return this.#size - 1;
  }

  /** The index of an equal record, or -1. */
  find(source: Uint8Array, at: number): number {
    return (this.#slots[this.#slot(source, at)] as number) - 1;
  }

  /** The slot of the record, or the free one where it belongs. */
  #slot(source: Uint8Array, at: number): number {
    const mask = this.#slots.length - 1;
    let slot = this.#hash(source, at) & mask;
    for (;;) {
      const index = this.#slots[slot] as number;
      if (index === 0 || this.#equal((index - 1) * this.width, source, at)) return slot;
      slot = (slot + 1) & mask;
    }
  }

  #equal(from: number, source: Uint8Array, at: number): boolean {
    const records = this.#records;
    for (let i = 0; i < this.width; i++) {
      if (records[from + i] !== source[at + i]) return false;
    }
    return true;
  }

  /** Every byte goes in, each word under its own random odd multiplier. */
  #hash(source: Uint8Array, at: number): number {
    let h = this.#seeds[0] as number;
    for (let i = 0, k = 1; i < this.width; i += 4, k++) {
      let word = 0;
      const end = Math.min(i + 4, this.width);
      for (let j = i; j < end; j++) word = (word << 8) | (source[at + j] as number);
      h = Math.imul(h ^ word, (this.#seeds[k] as number) | 1);
      h ^= h >>> 15;
    }
    h = Math.imul(h, (this.#seeds[this.#seeds.length - 1] as number) | 1);
    return h ^ (h >>> 16);
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length);
    for (let i = 0; i < this.#size; i++) {
      this.#slots[this.#slot(this.#records, i * this.width)] = i + 1;
    }
  }
}

function slotsFor(expected: number): number {
  let slots = 64;
  while (slots < 2 * expected + 2) slots *= 2;
  return slots;
}
