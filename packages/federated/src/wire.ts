/** What an aggregator asks of a participant, over their attested channel. */
import { type CallMethod, defineCall, defineStream, type StreamMethod } from "@vivarium/channel";
import type { Encodable } from "@vivarium/core";
import { FederatedError, federatedErrorClass } from "./errors.ts";
import { piecesOf } from "./update.ts";

const errors = [federatedErrorClass];

export type Fields = { readonly [name: string]: Encodable };

/** Compares the plans; the participant says how much data it has. */
export const helloCall: CallMethod<Fields, Fields> = defineCall("federated/hello/1", {
  errors,
  parseRequest: fieldsOf,
  parseResponse: fieldsOf,
});

/** Parameters in, a header and the sealed update out. */
export const fitStream: StreamMethod<Fields> = defineStream("federated/fit/1", {
  errors,
  parseParams: fieldsOf,
});

/** The set that the round is made of; the participant gives its update's key for it. */
export const commitCall: CallMethod<Fields, Fields> = defineCall("federated/commit/1", {
  errors,
  parseRequest: fieldsOf,
  parseResponse: fieldsOf,
});

/** Parameters in, one message of metrics out. */
export const evaluateStream: StreamMethod<Fields> = defineStream("federated/evaluate/1", {
  errors,
  parseParams: fieldsOf,
});

/** The signed receipt of a round, or of the end. */
export const doneCall: CallMethod<Fields, Fields> = defineCall("federated/done/1", {
  errors,
  parseRequest: fieldsOf,
  parseResponse: fieldsOf,
});

function fieldsOf(value: Encodable): Fields {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  if (!isMap) throw new FederatedError("protocol", "The peer sent something other than a map.");
  return value as Fields;
}

export function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value.length <= 4096) return value;
  throw new FederatedError("protocol", `The peer sent no text as ${name}.`);
}

export function wholeOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw new FederatedError("protocol", `The peer sent no whole number as ${name}.`);
}

export function numberOf(fields: Fields, name: string): number {
  const value = fields[name];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new FederatedError("protocol", `The peer sent no number as ${name}.`);
}

export function bytesOf(fields: Fields, name: string, length: number): Uint8Array {
  const value = fields[name];
  if (value instanceof Uint8Array && value.length === length) return value;
  throw new FederatedError("protocol", `The peer did not send ${length} bytes as ${name}.`);
}

/** Vectors as messages. A channel takes what it is given, so these are copies. */
export function* vectorMessages(vectors: readonly Float32Array[]): Generator<Uint8Array> {
  for (const piece of piecesOf(vectors)) yield piece.slice();
}

/**
 * Vectors of `size` numbers from messages of any length.
 * @throws FederatedError `protocol` for more or fewer bytes.
 */
export async function readVectors(
  messages: AsyncIterable<Uint8Array>,
  size: number,
  count: number,
): Promise<readonly Float32Array<ArrayBuffer>[]> {
  const bytes = new Uint8Array(4 * size * count);
  let filled = 0;
  for await (const message of messages) {
    if (filled + message.length > bytes.length) {
      throw new FederatedError("protocol", "The peer sent more parameters than the model has.");
    }
    bytes.set(message, filled);
    filled += message.length;
  }
  if (filled !== bytes.length) {
    throw new FederatedError("protocol", "The peer sent fewer parameters than the model has.");
  }
  return Array.from(
    { length: count },
    (_, i) => new Float32Array(bytes.buffer, 4 * size * i, size),
  );
}
