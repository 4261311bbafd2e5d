/**
 * What a sender attaches to its items: a label of bounded length, or a number to be summed. Every item's
 * payload has the same length in plain and sealed form, so that nothing shows but the agreed bound.
 */
import type { PsiConfig } from "./config.ts";
import { PsiError } from "./errors.ts";
import type { PsiBatch } from "./input.ts";

/** Exact figures over the numbers of common items. */
export interface PsiStatistics {
  /** Rows of the sender with a number, over all common items. */
  readonly values: number;
  /** In units of 10^-decimals. */
  readonly sum: bigint;
  readonly sumOfSquares: bigint;
  readonly decimals: number;
}

/** u32 count of values, i64 sum, u128 sum of squares. */
const numberBytes = 28;
const lengthBytes = 2;
/** Numbers are below this, so that squares of 2^22 of them fit into 128 bits. */
const largest = 2n ** 53n;

/** Bytes of a payload before it is sealed, or undefined in modes without. */
export function payloadBytes(config: PsiConfig): number | undefined {
  if (config.mode === "labels") return lengthBytes + (config.labels?.maxBytes ?? 0);
  return config.mode === "sum" ? numberBytes : undefined;
}

/** The payloads of the distinct items, in order of their first appearance. */
export class PayloadStore {
  readonly #config: PsiConfig;
  readonly #width: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #size = 0;

  constructor(config: PsiConfig, expected: number) {
    this.#config = config;
    this.#width = payloadBytes(config) ?? 0;
    this.#bytes = new Uint8Array(Math.max(1, expected) * this.#width);
  }

  /** `width` bytes of each item. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#size * this.#width);
  }

  /**
   * @param indices which distinct item each key of the batch is.
   * @throws PsiError `invalid-argument` naming the row, never the value.
   */
  add(indices: Uint32Array, batch: PsiBatch): void {
    const { payload, rows } = batch;
    if (payload === undefined) {
      throw new PsiError("invalid-argument", "Modes labels and sum need a payload for every key.");
    }
    for (let i = 0; i < rows.length; i++) {
      const index = indices[i] as number;
      const value = payload.bytes.subarray(payload.offsets[i], payload.offsets[i + 1]);
      const fresh = index === this.#size;
      if (fresh) this.#grow();
      const into = this.#bytes.subarray(index * this.#width, (index + 1) * this.#width);
      if (this.#config.mode === "sum") addNumber(into, value, this.#decimals, rows[i] as number);
      // An item that occurs more than once keeps the label of its first row.
      else if (fresh) putLabel(into, value, rows[i] as number);
    }
  }

  get #decimals(): number {
    return this.#config.sum?.decimals ?? 0;
  }

  #grow(): void {
    this.#size++;
    if (this.#size * this.#width <= this.#bytes.length) return;
    const larger = new Uint8Array(2 * this.#bytes.length);
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}

function putLabel(into: Uint8Array, label: Uint8Array, row: number): void {
  if (label.length > into.length - lengthBytes) {
    throw new PsiError(
      "invalid-argument",
      `The label of row ${row} has ${label.length} bytes, over the agreed ${into.length - lengthBytes} (labels.maxBytes).`,
    );
  }
  into[0] = label.length >>> 8;
  into[1] = label.length;
  into.set(label, lengthBytes);
}

/** The label in an opened payload. @throws PsiError `protocol`. */
export function labelIn(payload: Uint8Array): Uint8Array {
  const length = ((payload[0] as number) << 8) | (payload[1] as number);
  const padding = payload.subarray(lengthBytes + length);
  if (lengthBytes + length > payload.length || padding.some((byte) => byte !== 0)) {
    throw new PsiError("protocol", "The peer sealed a label of another form.");
  }
  return payload.subarray(lengthBytes, lengthBytes + length);
}

/** Adds the decimal number to what the item has; an empty text is no value. */
function addNumber(into: Uint8Array, text: Uint8Array, decimals: number, row: number): void {
  if (text.length === 0) return;
  const value = parseDecimal(text, decimals);
  if (value === undefined) {
    throw new PsiError(
      "invalid-argument",
      `The value of row ${row} is no decimal number with at most ${decimals} decimals (sum.decimals) below 2^53.`,
    );
  }
  const before = numbersIn(into);
  const view = viewOf(into);
  view.setUint32(0, before.values + 1);
  view.setBigInt64(4, before.sum + value);
  const squares = before.sumOfSquares + value * value;
  view.setBigUint64(12, squares >> 64n);
  view.setBigUint64(20, squares & 0xffff_ffff_ffff_ffffn);
  if (before.values >= 2 ** 22) {
    throw new PsiError("size", `The item of row ${row} occurs more than 4,194,304 times.`);
  }
}

function numbersIn(payload: Uint8Array): Omit<PsiStatistics, "decimals"> {
  const view = viewOf(payload);
  return {
    values: view.getUint32(0),
    sum: view.getBigInt64(4),
    sumOfSquares: (view.getBigUint64(12) << 64n) | view.getBigUint64(20),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Sums payloads of common items. Exact: integers of any length. */
export class Sums {
  #values = 0;
  #sum = 0n;
  #squares = 0n;

  add(payload: Uint8Array): void {
    const { values, sum, sumOfSquares } = numbersIn(payload);
    this.#values += values;
    this.#sum += sum;
    this.#squares += sumOfSquares;
  }

  statistics(decimals: number): PsiStatistics {
    return { values: this.#values, sum: this.#sum, sumOfSquares: this.#squares, decimals };
  }
}

/** ASCII `-12.50` in units of 10^-decimals; undefined for any other text, or a number out of range. */
export function parseDecimal(text: Uint8Array, decimals: number): bigint | undefined {
  if (text.length > 40) return undefined;
  const match = /^([+-]?)(\d{1,17})(?:\.(\d{1,17}))?$/.exec(Buffer.from(text).toString("latin1"));
  if (match === null) return undefined;
  const [, sign, whole = "", fraction = ""] = match;
  const kept = fraction.replace(/0+$/, "");
  if (kept.length > decimals) return undefined;
  const value = BigInt(whole + kept.padEnd(decimals, "0"));
  if (value >= largest) return undefined;
  return sign === "-" ? -value : value;
}

/** A whole number of units of 10^-decimals as text. */
export function decimalText(value: bigint, decimals: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const fraction = decimals === 0 ? "" : `.${digits.slice(-decimals)}`;
  return `${value < 0n ? "-" : ""}${whole}${fraction}`;
}
