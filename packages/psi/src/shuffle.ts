/** Whole-set permutations from secure randomness. */
import type { Random } from "@vivarium/core";

/** 32-bit words drawn at once. */
const drawWords = 16_384;

/**
 * A uniform permutation of 0 … n-1 (Fisher–Yates). The whole set is permuted: shuffling batch by batch
 * would tell from which region of a file an item comes.
 */
export function randomPermutation(n: number, random: Random): Uint32Array<ArrayBuffer> {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  const below = uniform(random);
  for (let i = n - 1; i > 0; i--) {
    const j = below(i + 1);
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}

/** Uniform integers below a bound of at most 2^32, by rejection: a modulo alone is biased. */
export function uniform(random: Random): (bound: number) => number {
  let words = new Uint32Array(0);
  let at = 0;
  return (bound) => {
    const accept = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      if (at === words.length) {
        words = new Uint32Array(random.bytes(4 * drawWords).slice().buffer);
        at = 0;
      }
      const word = words[at] as number;
      words[at++] = 0;
      if (word < accept) return word % bound;
    }
  };
}
