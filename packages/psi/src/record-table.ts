/** Exact sets of fixed-width byte records on typed arrays: open addressing, no object per record. */
import type { Random } from "@vivarium/core";

/** Seeded hash and equality of records at any offset. */
class Hasher {
  readonly #words: number;
  readonly #last: number;
  readonly #seeds: Uint32Array;

  /**
   * @param random seeds the hash: records come from a peer, who could otherwise choose a million that
   * fall into one slot.
   */
  constructor(width: number, random: Random) {
    if (width < 4) throw new RangeError("Records have at least 4 bytes.");
    this.#words = width >>> 2;
    // Whole words, then the last four bytes, which may overlap them.
    this.#last = width - 4;
    const bytes = random.bytes(4 * (this.#words + 3));
    this.#seeds = new Uint32Array(bytes.slice().buffer);
  }

  /** Every byte goes in, each word under its own random odd multiplier. */
  hash(view: DataView, at: number): number {
    const seeds = this.#seeds;
    const words = this.#words;
    let h = seeds[0] as number;
    for (let i = 0; i < words; i++) {
      h = Math.imul(h ^ view.getUint32(at + 4 * i, true), (seeds[i + 1] as number) | 1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ view.getUint32(at + this.#last, true), (seeds[words + 1] as number) | 1);
    h ^= h >>> 15;
    h = Math.imul(h, (seeds[words + 2] as number) | 1);
    return (h ^ (h >>> 16)) >>> 0;
  }

  equal(a: DataView, atA: number, b: DataView, atB: number): boolean {
    const words = this.#words;
    for (let i = 0; i < words; i++) {
      if (a.getUint32(atA + 4 * i, true) !== b.getUint32(atB + 4 * i, true)) return false;
    }
    return a.getUint32(atA + this.#last, true) === b.getUint32(atB + this.#last, true);
  }
}

/**
 * Which record of a list is where. A slot has the record's hash beside its index, so that neither a
 * miss nor growth touches the records.
 */
class Index {
  readonly #hasher: Hasher;
  readonly #width: number;
  /** Pairs of hash and index + 1; an index of 0 is free. At most half full. */
  #slots: Uint32Array<ArrayBuffer>;
  #mask: number;
  #size = 0;

  constructor(width: number, random: Random, expected: number) {
    this.#width = width;
    this.#hasher = new Hasher(width, random);
    const slots = slotsFor(expected);
    this.#slots = new Uint32Array(2 * slots);
    this.#mask = slots - 1;
  }

  /** The index of the record at `at`; it enters as the next one if it is new. */
  add(records: DataView, source: DataView, at: number): number {
    if (2 * (this.#size + 1) > this.#mask + 1) this.#grow();
    const hash = this.#hasher.hash(source, at);
    const slot = this.#slot(hash, records, source, at);
    const found = this.#slots[2 * slot + 1] as number;
    if (found !== 0) return found - 1;
    this.#slots[2 * slot] = hash;
    this.#slots[2 * slot + 1] = ++this.#size;
    return this.#size - 1;
  }

  /** The index of an equal record, or -1. */
  find(records: DataView, source: DataView, at: number): number {
    const slot = this.#slot(this.#hasher.hash(source, at), records, source, at);
    return (this.#slots[2 * slot + 1] as number) - 1;
  }

  /** The slot of the record, or the free one where it belongs. */
  #slot(hash: number, records: DataView, source: DataView, at: number): number {
    const slots = this.#slots;
    let slot = hash & this.#mask;
    for (;;) {
      const index = slots[2 * slot + 1] as number;
      if (index === 0) return slot;
      if (
        slots[2 * slot] === hash &&
        this.#hasher.equal(records, (index - 1) * this.#width, source, at)
      ) {
        return slot;
      }
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    this.#mask = this.#slots.length / 2 - 1;
    for (let i = 0; i < before.length; i += 2) {
      if (before[i + 1] === 0) continue;
      let slot = (before[i] as number) & this.#mask;
      while (this.#slots[2 * slot + 1] !== 0) slot = (slot + 1) & this.#mask;
      this.#slots[2 * slot] = before[i] as number;
      this.#slots[2 * slot + 1] = before[i + 1] as number;
    }
  }
}

/** A growing set that keeps its records. */
export class RecordTable {
  readonly width: number;
  readonly #index: Index;
  #records: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #size = 0;

  /** @param random see {@link Hasher}. */
  constructor(width: number, random: Random, expected = 1024) {
    this.width = width;
    this.#index = new Index(width, random, expected);
    this.#records = new Uint8Array(Math.max(16, expected) * width);
    this.#view = viewOf(this.#records);
  }

  get size(): number {
    return this.#size;
  }

  /** All records, in order of insertion: a view that lives until the next insertion. */
  get records(): Uint8Array<ArrayBuffer> {
    return this.#records.subarray(0, this.#size * this.width);
  }

  /** Indices of all records of `source`; a record is new if its index is the former `size`. */
  addAll(source: Uint8Array, each: (index: number, position: number) => void): void {
    const view = viewOf(source);
    const { width } = this;
    const n = source.length / width;
    for (let i = 0; i < n; i++) {
      const at = i * width;
      const index = this.#index.add(this.#view, view, at);
      if (index === this.#size) {
        const to = this.#size * width;
        if (to + width > this.#records.length) this.#grow();
        const records = this.#records;
        for (let b = 0; b < width; b++) records[to + b] = source[at + b] as number;
        this.#size++;
      }
      each(index, i);
    }
  }

  #grow(): void {
    const larger = new Uint8Array(2 * this.#records.length);
    larger.set(this.#records);
    this.#records = larger;
    this.#view = viewOf(larger);
  }
}

/** Look-ups in a list of distinct records, which stays where it is. */
export class RecordList {
  readonly width: number;
  readonly size: number;
  readonly #index: Index;
  readonly #view: DataView;
  /** Position of the first record that equals an earlier one (look-ups mean nothing then), or -1. */
  readonly repeated: number;

  constructor(records: Uint8Array, width: number, random: Random) {
    this.width = width;
    this.size = records.length / width;
    this.#index = new Index(width, random, this.size);
    this.#view = viewOf(records);
    let repeated = -1;
    for (let i = 0; i < this.size && repeated < 0; i++) {
      if (this.#index.add(this.#view, this.#view, i * width) !== i) repeated = i;
    }
    this.repeated = repeated;
  }

  /** Position in this list of each record of another, or -1. */
  findAll(source: Uint8Array, each: (index: number, position: number) => void): void {
    const view = viewOf(source);
    const n = source.length / this.width;
    for (let i = 0; i < n; i++) each(this.#index.find(this.#view, view, i * this.width), i);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function slotsFor(expected: number): number {
  let slots = 64;
  while (slots < 2 * expected + 2) slots *= 2;
  return slots;
}
