/**
 * Noise that the run's own key, the round and its set of updates decide: whoever sets an aggregator back gets
 * the same noise for the same set, and cannot average it away.
 */
import { createCipheriv, createHmac } from "node:crypto";
import { labels, lengthPrefixed, u32 } from "@vivarium/core";

/** Numbers drawn at once. */
const block = 8_192;

/**
 * Standard normal numbers, in floating point (Box and Muller on 53-bit uniforms). The sum rounds them to its
 * grid, on which updates lie as well, so that low bits tell nothing of the sum (Mironov, CCS 2012).
 * @param key 32 bytes, of the run and sealed.
 * @param set digest of the round's set.
 */
export function gaussianNoise(
  key: Uint8Array,
  run: string,
  round: number,
  set: string,
): () => number {
  const input = lengthPrefixed(labels.federatedDraw, "noise", run, u32(round), set);
  const stream = createCipheriv(
    "aes-256-ctr",
    createHmac("sha256", key).update(input).digest(),
    new Uint8Array(16),
  );
  const zeros = new Uint8Array(8 * block);
  let words: DataView | undefined;
  let at = 0;
  const uniform = (): number => {
    if (words === undefined || at === block) {
      const bytes = stream.update(zeros);
      words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      at = 0;
    }
    const value = words.getBigUint64(8 * at++, true) >> 11n;
    // Never 0, whose logarithm is infinite.
    return (Number(value) + 1) / (2 ** 53 + 1);
  };
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
