/**
 * Exact sets of fixed-width byte records (points, tags) on typed arrays: open addressing, no object per
 * record. Native where the kernel is compiled: it has 32 look-ups' memory in flight at once.
 */
import type { Random } from "@vivarium/core";
import * as addon from "@vivarium/curve25519/addon";
import { RecordHasher } from "./record-hasher.ts";

/** What a look-up gives for a record that is not there. */
export const noRecord = 0xffff_ffff;

const seedBytes = 32;
const minWidth = 8;
const maxWidth = 64;

/** Which record of a buffer is where. */
class Index {
  readonly width: number;
  readonly #seeds: Uint8Array;
  /** Undefined where the native code does the work. */
  readonly #hasher: RecordHasher | undefined;
  /** Pairs of hash and index + 1; an index of 0 is free. At most half are taken. */
  #slots: Uint32Array<ArrayBuffer>;
  size = 0;

  constructor(width: number, random: Random, expected: number, native: boolean) {
    if (!Number.isInteger(width) || width < minWidth || width > maxWidth) {
      throw new RangeError(`Records have ${minWidth} to ${maxWidth} bytes.`);
    }
    this.width = width;
    this.#seeds = random.bytes(seedBytes);
    const compiled = native && addon.recordsAdd !== undefined && addon.recordsFind !== undefined;
    this.#hasher = compiled ? undefined : new RecordHasher(width, this.#seeds);
    let slots = 64;
    while (slots < 2 * expected + 2) slots *= 2;
    this.#slots = new Uint32Array(2 * slots);
  }

  /**
   * Adds records to those in `records`, which has room for all of them. Without `out` the source is
   * `records` itself, and the first that equals an earlier one ends it.
   */
  add(records: Uint8Array, source: Uint8Array, out: Uint32Array): void {
    this.#reserve(this.size + source.length / this.width);
    if (this.#hasher === undefined) {
      const table = [this.#slots, this.#seeds, this.width, records, this.size] as const;
      this.size = addon.recordsAdd?.(...table, source, out) as number;
      return;
    }
    const { width } = this;
    const [to, from] = [viewOf(records), viewOf(source)];
    const inPlace = out.length === 0;
    for (let i = 0, at = 0; at < source.length; i++, at += width) {
      const hash = this.#hasher.hash(from, at);
      const slot = this.#slot(this.#hasher, hash, to, from, at);
      let index = this.#slots[2 * slot + 1] as number;
      if (index === 0) {
        if (!inPlace) records.set(source.subarray(at, at + width), this.size * width);
        index = ++this.size;
        this.#slots[2 * slot] = hash;
        this.#slots[2 * slot + 1] = index;
      } else if (inPlace) {
        return;
      }
      if (!inPlace) out[i] = index - 1;
    }
  }

  /** The index of each record, or {@link noRecord}. */
  find(records: Uint8Array, source: Uint8Array): Uint32Array<ArrayBuffer> {
    const out = new Uint32Array(source.length / this.width);
    if (this.#hasher === undefined) {
      const table = [this.#slots, this.#seeds, this.width, records, this.size] as const;
      addon.recordsFind?.(...table, source, out);
      return out;
    }
    const [to, from] = [viewOf(records), viewOf(source)];
    for (let i = 0; i < out.length; i++) {
      const at = i * this.width;
      const slot = this.#slot(this.#hasher, this.#hasher.hash(from, at), to, from, at);
      const index = this.#slots[2 * slot + 1] as number;
      out[i] = index === 0 ? noRecord : index - 1;
    }
    return out;
  }

  /** The slot of the record, or the free one where it belongs. */
  #slot(hasher: RecordHasher, hash: number, records: DataView, from: DataView, at: number): number {
    const slots = this.#slots;
    const mask = slots.length / 2 - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const index = slots[2 * slot + 1] as number;
      if (index === 0) return slot;
      if (slots[2 * slot] !== hash) continue;
      if (hasher.equal(records, (index - 1) * this.width, from, at)) return slot;
    }
  }

  /** Slots have their hashes beside them, so that growth does not touch the records. */
  #reserve(count: number): void {
    let length = this.#slots.length;
    while (2 * count > length / 2) length *= 2;
    if (length === this.#slots.length) return;
    const slots = new Uint32Array(length);
    const mask = length / 2 - 1;
    for (let i = 0; i < this.#slots.length; i += 2) {
      if (this.#slots[i + 1] === 0) continue;
      let slot = (this.#slots[i] as number) & mask;
      while (slots[2 * slot + 1] !== 0) slot = (slot + 1) & mask;
      slots[2 * slot] = this.#slots[i] as number;
      slots[2 * slot + 1] = this.#slots[i + 1] as number;
    }
    this.#slots = slots;
  }
}

/** A growing set that keeps its records. */
export class RecordTable {
  readonly #index: Index;
  #records: Uint8Array<ArrayBuffer>;

  /**
   * @param width bytes of a record, 8 to 64.
   * @param random seeds the hash: records come from a peer, who could otherwise choose a million that
   * fall into one slot.
   * @param native for tests: false takes the code in JavaScript.
   */
  constructor(width: number, random: Random, expected = 1024, native = true) {
    this.#index = new Index(width, random, expected, native);
    this.#records = new Uint8Array(Math.max(16, expected) * width);
  }

  get width(): number {
    return this.#index.width;
  }

  get size(): number {
    return this.#index.size;
  }

  /** All records, in order of insertion: a view that lives until the next insertion. */
  get records(): Uint8Array<ArrayBuffer> {
    return this.#records.subarray(0, this.size * this.width);
  }

  /** Adds records. @returns the index of each; indices from the former `size` are new. */
  add(source: Uint8Array): Uint32Array<ArrayBuffer> {
    const needed = this.size * this.width + source.length;
    if (needed > this.#records.length) {
      const larger = new Uint8Array(Math.max(needed, 2 * this.#records.length));
      larger.set(this.#records);
      this.#records = larger;
    }
    const out = new Uint32Array(source.length / this.width);
    if (out.length > 0) this.#index.add(this.#records, source, out);
    return out;
  }

  /** The index of each record, or {@link noRecord}. */
  find(source: Uint8Array): Uint32Array<ArrayBuffer> {
    return this.#index.find(this.#records, source);
  }
}

/** Look-ups in a list of distinct records, which stays where it is. */
export class RecordList {
  readonly #index: Index;
  readonly #records: Uint8Array;
  /** Position of the first record that equals an earlier one (look-ups mean nothing then), or -1. */
  readonly repeated: number;

  /** Parameters as of {@link RecordTable}. */
  constructor(records: Uint8Array, width: number, random: Random, native = true) {
    const n = records.length / width;
    this.#index = new Index(width, random, n, native);
    this.#records = records;
    this.#index.add(records, records, new Uint32Array(0));
    this.repeated = this.#index.size === n ? -1 : this.#index.size;
  }

  /** Records up to the first repeated one. */
  get size(): number {
    return this.#index.size;
  }

  /** The position of each record, or {@link noRecord}. */
  find(source: Uint8Array): Uint32Array<ArrayBuffer> {
    return this.#index.find(this.#records, source);
  }
}

/**
 * Records `order[0]`, `order[1]`, … of `width` bytes each.
 * @param native for tests: false takes the code in JavaScript.
 * @throws RangeError for an index beyond the records.
 */
export function gatherRecords(
  records: Uint8Array,
  width: number,
  order: Uint32Array,
  native = true,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(order.length * width);
  const count = Math.floor(records.length / width);
  if (order.some((index) => index >= count)) throw new RangeError("There is no such record.");
  if (native && addon.gather !== undefined && width <= maxWidth) {
    addon.gather(records, width, order, out);
    return out;
  }
  for (let i = 0, to = 0; i < order.length; i++) {
    const from = (order[i] as number) * width;
    for (let b = 0; b < width; b++) out[to++] = records[from + b] as number;
  }
  return out;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
