/** Predictions over an attested channel: the client has verified the server before a byte of input leaves it. */
import { createHash } from "node:crypto";
import { AttestationResult } from "@vivarium/attestation";
import { type Channel, defineStream, handleStream, type StreamMethod } from "@vivarium/channel";
import {
  type Crypto,
  type DType,
  decode,
  type Encodable,
  elementBytes,
  encode,
  type Random,
} from "@vivarium/core";
import { commit } from "@vivarium/seal";
import type { Value } from "@vivarium/tensors";
import type { Prediction, ServingCore } from "./core.ts";
import { ServingError, servingErrorClass } from "./errors.ts";
import { servingLimits } from "./limits.ts";
import { elements, type Values } from "./values.ts";

type Fields = { readonly [name: string]: Encodable };

const inferStream: StreamMethod<Fields> = defineStream("serving/infer/1", {
  errors: [servingErrorClass],
  parseParams: fieldsOf,
});

/** Bytes of one message of data. */
const messageBytes = 256 * 1024;

/** What a receipt of one answer says. */
export interface AnswerReceiptInput {
  readonly model: Prediction["model"];
  readonly commitments: Readonly<Record<string, Uint8Array>>;
}

export interface ServeOptions {
  readonly core: ServingCore;
  readonly crypto: Crypto;
  readonly random: Random;
  /** Signs a receipt of an answer; none are given where it is absent. */
  readonly sign?: (input: AnswerReceiptInput) => Promise<Uint8Array>;
}

/** Serves one channel until it closes. */
export function serveChannel(
  channel: Pick<Channel, "serve" | "id">,
  options: ServeOptions,
): () => void {
  const { core, crypto, random, sign } = options;
  return channel.serve([
    handleStream(inferStream, async function* (incoming, { params, signal, deadline }) {
      const { values, digest } = await readValues(params["inputs"], incoming);
      const version = params["version"];
      const prediction = await core.predict(
        { name: textOf(params, "model"), ...(typeof version === "number" ? { version } : {}) },
        values,
        { client: channel.id, signal, ...(deadline === undefined ? {} : { deadline }) },
      );
      const { specs, parts, digest: answered } = describeValues(prediction.outputs);
      const { name, version: served, digest: model } = prediction.model;
      let receipt: Fields = {};
      if (params["receipt"] === true && sign !== undefined) {
        // The salts go to the client alone: without them a receipt confirms no guess of what was asked.
        const [inputSalt, outputSalt] = [random.bytes(32), random.bytes(32)];
        const commitments = {
          input: await commit(crypto, digest, inputSalt),
          output: await commit(crypto, answered, outputSalt),
        };
        const bytes = await sign({ model: prediction.model, commitments });
        receipt = { receipt: bytes, inputSalt, outputSalt };
      }
      yield encode({ name, version: served, digest: model, outputs: specs, ...receipt });
      for (const part of parts) yield part;
    }),
  ]);
}

export interface PredictRequest {
  readonly model: string;
  readonly version?: number;
  readonly inputs: Values;
  /** SHA-256 of the model's file: another model's answer is refused. */
  readonly digest?: string;
  readonly receipt?: boolean;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface Answer {
  readonly model: { readonly name: string; readonly version: number; readonly digest: string };
  readonly outputs: Values;
  /** Signed, with the salts that open its commitments to input and output. */
  readonly receipt:
    | {
        readonly bytes: Uint8Array;
        readonly inputSalt: Uint8Array;
        readonly outputSalt: Uint8Array;
      }
    | undefined;
  /** SHA-256 of what was asked and answered: what the commitments are to. */
  readonly inputDigest: Uint8Array;
  readonly outputDigest: Uint8Array;
}

/**
 * Asks a server that has been attested.
 * @throws ServingError; `wrong-model` if the answer is of another model than `digest` names.
 */
export async function predict(
  channel: Pick<Channel, "stream" | "peer">,
  request: PredictRequest,
): Promise<Answer> {
  if (!AttestationResult.is(channel.peer)) {
    throw new ServingError("protocol", "The server of this channel has not been attested.");
  }
  const { specs, parts, digest: inputDigest } = describeValues(request.inputs);
  const { signal, timeoutMs } = request;
  const stream = channel.stream(inferStream, parts, {
    params: {
      model: request.model,
      ...(request.version === undefined ? {} : { version: request.version }),
      inputs: specs,
      receipt: request.receipt === true,
    },
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  });
  const first = await stream.next();
  if (first.done === true) throw new ServingError("protocol", "The server sent no answer.");
  const head = fieldsOf(decode(first.value));
  const digest = textOf(head, "digest");
  if (request.digest !== undefined && digest !== request.digest) {
    await stream.return?.();
    throw new ServingError(
      "wrong-model",
      `The answer is of the model ${digest}, not of ${request.digest}.`,
    );
  }
  const { values, digest: outputDigest } = await readValues(head["outputs"], stream);
  const { receipt, inputSalt, outputSalt } = head;
  const given =
    receipt instanceof Uint8Array &&
    inputSalt instanceof Uint8Array &&
    outputSalt instanceof Uint8Array;
  return {
    model: { name: textOf(head, "name"), version: Number(head["version"]), digest },
    outputs: values,
    receipt: given ? { bytes: receipt, inputSalt, outputSalt } : undefined,
    inputDigest,
    outputDigest,
  };
}

/** Specs for the header, and the data behind each other in messages; texts go in the header. */
function describeValues(values: Values): {
  readonly specs: readonly Fields[];
  readonly parts: readonly Uint8Array[];
  readonly digest: Uint8Array;
} {
  const specs: Fields[] = [];
  const parts: Uint8Array[] = [];
  const hash = createHash("sha256");
  for (const [name, value] of values) {
    const own = { name, dtype: value.dtype, shape: value.shape };
    specs.push(value.dtype === "text" ? { ...own, values: value.values } : own);
    if (value.dtype !== "text") {
      for (let at = 0; at < value.data.length; at += messageBytes) {
        parts.push(value.data.slice(at, at + messageBytes));
      }
    }
  }
  hash.update(encode(specs));
  for (const part of parts) hash.update(part);
  return { specs, parts, digest: new Uint8Array(hash.digest()) };
}

async function readValues(
  specs: Encodable | undefined,
  messages: AsyncIterable<Uint8Array>,
): Promise<{ readonly values: Values; readonly digest: Uint8Array }> {
  if (!Array.isArray(specs) || specs.length > servingLimits.inputs) {
    throw new ServingError("protocol", "The peer sent no list of values.");
  }
  const hash = createHash("sha256").update(encode(specs as readonly Encodable[]));
  const values = new Map<string, Value>();
  let expected = 0;
  const buffers: Uint8Array[] = [];
  for (const spec of specs as readonly Encodable[]) {
    const fields = fieldsOf(spec);
    const name = textOf(fields, "name");
    if (values.has(name)) throw new ServingError("protocol", "The peer sent a value twice.");
    const value = emptyValue(fields, servingLimits.requestBytes - expected);
    values.set(name, value);
    if (value.dtype === "text") continue;
    buffers.push(value.data);
    expected += value.data.length;
  }
  let buffer = 0;
  let at = 0;
  let received = 0;
  for await (const message of messages) {
    received += message.length;
    if (received > expected)
      throw new ServingError("protocol", "The peer sent more data than it said.");
    hash.update(message);
    let taken = 0;
    while (taken < message.length) {
      const into = buffers[buffer] as Uint8Array;
      const part = message.subarray(taken, taken + into.length - at);
      into.set(part, at);
      taken += part.length;
      at += part.length;
      if (at === into.length) {
        buffer++;
        at = 0;
      }
    }
  }
  if (received !== expected)
    throw new ServingError("protocol", "The peer sent less data than it said.");
  return { values, digest: new Uint8Array(hash.digest()) };
}

function emptyValue(fields: Fields, left: number): Value {
  const shape = fields["shape"];
  const isSize = (size: Encodable): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  if (!Array.isArray(shape) || shape.length > servingLimits.rank || !shape.every(isSize)) {
    throw new ServingError("protocol", "The peer sent a value without a shape.");
  }
  const sizes = shape as readonly number[];
  const count = elements(sizes);
  const dtype = textOf(fields, "dtype");
  if (dtype === "text") {
    const list = fields["values"];
    if (
      !Array.isArray(list) ||
      list.length !== count ||
      !list.every((item) => typeof item === "string")
    ) {
      throw new ServingError("protocol", "The peer sent other texts than their shape.");
    }
    return { dtype: "text", shape: sizes, values: list as readonly string[] };
  }
  let bytes: number;
  try {
    bytes = count * elementBytes(dtype as DType);
  } catch (cause) {
    throw new ServingError("protocol", "The peer sent a value of a type that is not known.", {
      cause,
    });
  }
  if (!Number.isSafeInteger(bytes) || bytes > left) {
    throw new ServingError(
      "invalid-argument",
      `A request has at most ${servingLimits.requestBytes} bytes.`,
    );
  }
  return { dtype: dtype as DType, shape: sizes, data: new Uint8Array(bytes) };
}

function fieldsOf(value: Encodable): Fields {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  if (!isMap) throw new ServingError("protocol", "The peer sent something other than a map.");
  return value as Fields;
}

function textOf(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string" && value.length <= 4096) return value;
  throw new ServingError("protocol", `The peer sent no text as ${name}.`);
}
