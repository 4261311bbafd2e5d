/** Seeded hash and equality of records, for the sets of `records.ts` where there is no native code. */
export class RecordHasher {
  readonly #words: number;
  readonly #last: number;
  readonly #seeds: Uint32Array;

  /** @param seeds 32 random bytes. */
  constructor(width: number, seeds: Uint8Array) {
    this.#words = width >>> 2;
    // Whole words, then the last four bytes, which may overlap them.
    this.#last = width - 4;
    this.#seeds = new Uint32Array(seeds.slice().buffer);
  }

  /** Every byte goes in, each word under a random odd multiplier. */
  hash(view: DataView, at: number): number {
    const seeds = this.#seeds;
    const words = this.#words;
    let h = seeds[0] as number;
    for (let i = 0; i < words; i++) {
      h = Math.imul(h ^ view.getUint32(at + 4 * i, true), (seeds[1 + (i & 3)] as number) | 1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ view.getUint32(at + this.#last, true), (seeds[5] as number) | 1);
    h ^= h >>> 15;
    h = Math.imul(h ^ (seeds[7] as number), (seeds[6] as number) | 1);
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
