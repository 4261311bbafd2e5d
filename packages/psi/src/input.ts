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
  /** Row number of key *i*. A row with several keys matches if one of them does. */
  readonly rows: Uint32Array;
  /**
   * Of a sender in modes `labels` and `sum`: what goes with key *i*, in the same form as the keys. A label is
   * any bytes; a number is decimal text, or empty for none.
   */
  readonly payload?: { readonly bytes: Uint8Array; readonly offsets: Uint32Array };
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
      const payload = cutPayload(batch, start, end);
      yield {
        ...(payload === undefined ? {} : { payload }),
        bytes: batch.bytes.slice(from, batch.offsets[end] as number),
        offsets,
        rows: batch.rows.slice(start, end),
      };
      start = end;
    }
  }
}

function cutPayload({ payload }: PsiBatch, start: number, end: number): PsiBatch["payload"] {
  if (payload === undefined) return undefined;
  const from = payload.offsets[start] as number;
  const offsets = payload.offsets.slice(start, end + 1).map((offset) => offset - from);
  return { bytes: payload.bytes.slice(from, payload.offsets[end] as number), offsets };
}

function requireBatch(batch: PsiBatch): void {
  requireOffsets(batch, batch.rows.length);
  if (batch.payload !== undefined) requireOffsets(batch.payload, batch.rows.length);
}

function requireOffsets(of: NonNullable<PsiBatch["payload"]>, n: number): void {
  const { bytes, offsets } = of;
  let valid = offsets.length === n + 1 && offsets[0] === 0;
  for (let i = 0; i < n && valid; i++) {
    valid = (offsets[i] as number) <= (offsets[i + 1] as number);
  }
  if (!valid || offsets[n] !== bytes.length) {
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
    this.#add(batch, batch.rows.length);
    if (batch.payload !== undefined) this.#add(batch.payload, batch.rows.length);
    this.#count += batch.rows.length;
  }

  #add({ bytes, offsets }: NonNullable<PsiBatch["payload"]>, n: number): void {
    const lengths = new DataView(new ArrayBuffer(4 * n));
    for (let i = 0; i < n; i++) {
      lengths.setUint32(4 * i, (offsets[i + 1] as number) - (offsets[i] as number));
    }
    this.#lengths.update(lengths);
    this.#bytes.update(bytes);
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
