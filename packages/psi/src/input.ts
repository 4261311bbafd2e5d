/** The own items: from batches of a table to batches of a pool, and a digest of them all. */
import { createHash } from "node:crypto";
import { labels, lengthPrefixed, u64 } from "@vivarium/core";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";

/** Consecutive keys; the shape of `@vivarium/tables`. */
export interface PsiBatch {
  /** Encoded keys, one after the other. */
  readonly bytes: Uint8Array;
  /** Key *i* is `bytes.subarray(offsets[i], offsets[i + 1])`. */
  readonly offsets: Uint32Array;
  /** Row number of key *i*. */
  readonly rows: Uint32Array;
}

/** Cuts batches to what one task takes. @throws PsiError `invalid-argument` for a malformed batch. */
export async function* cutBatches(input: AsyncIterable<PsiBatch>): AsyncGenerator<PsiBatch> {
  for await (const batch of input) {
    requireBatch(batch);
    const n = batch.rows.length;
    for (let start = 0; start < n; ) {
      const from = batch.offsets[start] as number;
      let end = start + 1;
      while (
        end < n &&
        end - start < psiLimits.batchItems &&
        (batch.offsets[end + 1] as number) - from <= psiLimits.batchBytes
      ) {
        end++;
      }
      const offsets = batch.offsets.slice(start, end + 1);
      for (let i = 0; i < offsets.length; i++) offsets[i] = (offsets[i] as number) - from;
      yield {
        bytes: batch.bytes.slice(from, batch.offsets[end] as number),
        offsets,
        rows: batch.rows.slice(start, end),
      };
      start = end;
    }
  }
}

function requireBatch(batch: PsiBatch): void {
  const { bytes, offsets, rows } = batch;
  let valid = offsets.length === rows.length + 1 && offsets[0] === 0;
  for (let i = 0; i < rows.length && valid; i++) {
    valid = (offsets[i] as number) <= (offsets[i + 1] as number);
  }
  if (!valid || offsets[rows.length] !== bytes.length) {
    throw new PsiError("invalid-argument", "A batch of the input has inconsistent offsets.");
  }
}

/**
 * Digest of the sequence of keys, whatever the batches. Lengths and bytes are hashed apart, so that
 * keys cannot be cut differently, with two updates a batch instead of two a key.
 */
export class InputDigest {
  readonly #lengths = createHash("sha256");
  readonly #bytes = createHash("sha256");
  #count = 0;

  add(batch: PsiBatch): void {
    const n = batch.rows.length;
    const lengths = new DataView(new ArrayBuffer(4 * n));
    for (let i = 0; i < n; i++) {
      lengths.setUint32(4 * i, (batch.offsets[i + 1] as number) - (batch.offsets[i] as number));
    }
    this.#lengths.update(lengths);
    this.#bytes.update(batch.bytes);
    this.#count += n;
  }

  digest(): Uint8Array<ArrayBuffer> {
    const framed = lengthPrefixed(
      labels.psiInput,
      u64(this.#count),
      this.#lengths.digest(),
      this.#bytes.digest(),
    );
    return new Uint8Array(createHash("sha256").update(framed).digest());
  }
}
