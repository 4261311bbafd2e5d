/** What an aggregator must know to go on after it was killed: the model so far, and the round's set. */
import { decode, type Encodable, encode } from "@vivarium/core";
import { bytesOfFloats } from "@vivarium/tensors";
import { FederatedError } from "./errors.ts";
import type { SealedState } from "./memory.ts";
import type { StrategyState } from "./strategies/index.ts";

/** Metrics of one evaluation, over all participants that answered. */
export interface RoundMetrics {
  readonly round: number;
  readonly loss: number;
  readonly accuracy: number;
  readonly examples: number;
  readonly participants: number;
}

/** The whole of a run after a finished round. */
export interface Checkpoint {
  readonly run: string;
  /** Digest of the plan, hexadecimal. */
  readonly plan: string;
  /** Finished rounds. */
  readonly round: number;
  readonly parameters: Float32Array;
  readonly state: StrategyState;
  readonly history: readonly RoundMetrics[];
  /** Round of the best loss so far, and its parameters. */
  readonly best: {
    readonly round: number;
    readonly loss: number;
    readonly parameters: Float32Array;
  } | null;
  /** SHA-256 of the last receipt, hexadecimal; empty before the first. */
  readonly receipt: string;
  readonly quarantined: Readonly<Record<string, string>>;
  /** Of the run's noise, 32 bytes. */
  readonly noiseKey: Uint8Array;
}

/** An update that came, whose key has not. */
export interface Collected {
  readonly participant: string;
  readonly header: Uint8Array;
  /** Digest of the sealed update, hexadecimal. */
  readonly update: string;
}

/** A set that keys may have been asked for: no other one may take its place. */
export interface PendingSet {
  readonly round: number;
  readonly members: readonly Collected[];
}

export interface Journal {
  read(): Promise<{ readonly checkpoint?: Checkpoint; readonly pending?: PendingSet }>;
  /** Also forgets the pending set. */
  finish(checkpoint: Checkpoint): Promise<void>;
  pend(set: PendingSet): Promise<void>;
}

export function memoryJournal(): Journal {
  let checkpoint: Checkpoint | undefined;
  let pending: PendingSet | undefined;
  return {
    read: async () => ({
      ...(checkpoint === undefined ? {} : { checkpoint }),
      ...(pending === undefined ? {} : { pending }),
    }),
    async finish(value) {
      checkpoint = value;
      pending = undefined;
    },
    async pend(set) {
      pending = set;
    },
  };
}

/** Two sealed files: the model is written once a round, the set before keys are asked for. */
export function sealedJournal(model: SealedState, set: SealedState): Journal {
  return {
    async read() {
      const [first, second] = [await model.read(), await set.read()];
      const checkpoint = first === undefined ? undefined : decodeCheckpoint(first);
      const pending = second === undefined ? undefined : decodePending(second);
      // A set of a round that is finished was left by a crash between the two writes.
      const current = pending !== undefined && pending.round === (checkpoint?.round ?? 0) + 1;
      return {
        ...(checkpoint === undefined ? {} : { checkpoint }),
        ...(current ? { pending } : {}),
      };
    },
    finish: (checkpoint) => model.write(encodeCheckpoint(checkpoint)),
    pend: (pending) => set.write(encode(pending as unknown as Encodable)),
  };
}

const limits = {
  maxBytes: 2 ** 33,
  maxDepth: 6,
  maxArrayLength: 2 ** 20,
  maxMapLength: 2 ** 17,
  maxStringBytes: 65_536,
  maxBinaryBytes: 2 ** 32,
  maxValues: 2 ** 23,
};

function encodeCheckpoint(value: Checkpoint): Uint8Array {
  const state = Object.entries(value.state).map(([name, vector]) => [
    name,
    new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength),
  ]);
  const best = value.best;
  return encode({
    ...value,
    parameters: bytesOfFloats(value.parameters),
    state: Object.fromEntries(state) as Encodable,
    best: best === null ? null : { ...best, parameters: bytesOfFloats(best.parameters) },
  } as unknown as Encodable);
}

function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const value = decode(bytes, limits) as unknown as Checkpoint;
  if (typeof value !== "object" || value === null || typeof value.run !== "string") {
    throw new FederatedError("wrong-state", "The aggregator's state is of something else.");
  }
  const floats = (vector: unknown): Float32Array =>
    new Float32Array((vector as Uint8Array).slice().buffer);
  const state = Object.entries(value.state).map(([name, vector]) => [
    name,
    new Float64Array((vector as unknown as Uint8Array).slice().buffer),
  ]);
  const { best } = value;
  return {
    ...value,
    parameters: floats(value.parameters),
    state: Object.fromEntries(state) as StrategyState,
    best: best === null ? null : { ...best, parameters: floats(best.parameters) },
  };
}

function decodePending(bytes: Uint8Array): PendingSet {
  const value = decode(bytes, limits) as unknown as PendingSet;
  if (typeof value !== "object" || value === null || !Array.isArray(value.members)) {
    throw new FederatedError("wrong-state", "The aggregator's pending set is of something else.");
  }
  return value;
}
