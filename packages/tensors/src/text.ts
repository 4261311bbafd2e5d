/** Text as numbers, the same in training and in serving. */

const maxWords = 20_000;
const maxWordChars = 40;

/** FNV-1a, 32 bits: which bucket a word falls into is no secret, and need not resist anybody. */
function bucketOf(word: string, buckets: number): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) {
    hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
  }
  return (hash >>> 0) % buckets;
}

/**
 * Words and pairs of words of a text as buckets: `1 + ln(count)`, scaled to length one.
 * Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009 (without signs).
 */
export function hashText(text: string, buckets: number): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  const add = (word: string): void => {
    const bucket = bucketOf(word, buckets);
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  };
  let before = "";
  let words = 0;
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}$!]+/gu)) {
    if (word.length > maxWordChars) continue;
    if (++words > maxWords) break;
    add(word);
    if (before !== "") add(`${before} ${word}`);
    before = word;
  }
  let square = 0;
  for (const [bucket, count] of counts) {
    const value = 1 + Math.log(count);
    counts.set(bucket, value);
    square += value * value;
  }
  const scale = square === 0 ? 0 : 1 / Math.sqrt(square);
  for (const [bucket, value] of counts) counts.set(bucket, value * scale);
  return counts;
}
