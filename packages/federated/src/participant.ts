/** A data owner's side: trains when it is asked, and gives the key of its update for one set only. */
import { createHash } from "node:crypto";
import { AttestationResult } from "@vivarium/attestation";
import { type Channel, handle, handleStream } from "@vivarium/channel";
import {
  type Crypto,
  type Encodable,
  encode,
  labels,
  lengthPrefixed,
  type Random,
  toHex,
} from "@vivarium/core";
import { FederatedError } from "./errors.ts";
import type { Trainer } from "./learn/trainer.ts";
import type { ParticipantMemory, Remembered } from "./memory.ts";
import { type FederatedPlan, planDigest, readPlan, strategyOf } from "./plan.ts";
import {
  encodeHeader,
  keyBytes,
  modelDigest,
  type SetMember,
  sealPieces,
  setDigest,
  updateDigest,
} from "./update.ts";
import {
  commitCall,
  doneCall,
  evaluateStream,
  type Fields,
  fitStream,
  helloCall,
  readVectors,
  textOf,
  wholeOf,
} from "./wire.ts";

/** Whose updates a round must hold before this participant's is opened. */
export interface CohortRule {
  /** Fingerprints that count, or `any`: then whoever the aggregator attested counts. */
  readonly identities: readonly string[] | "any";
  /** So many of them at least, this participant among them. */
  readonly minimum: number;
}

export type ParticipantEvent =
  | { readonly type: "training"; readonly round: number }
  | {
      readonly type: "trained";
      readonly round: number;
      readonly loss: number;
      readonly steps: number;
    }
  | { readonly type: "committed"; readonly round: number; readonly cohort: number }
  | {
      readonly type: "evaluated";
      readonly round: number;
      readonly loss: number;
      readonly accuracy: number;
      readonly examples: number;
    }
  | { readonly type: "receipt"; readonly round: number; readonly receipt: Uint8Array };

export interface ParticipantOptions {
  readonly plan: FederatedPlan;
  readonly trainer: Trainer;
  readonly memory: ParticipantMemory;
  readonly cohort: CohortRule;
  /** Own fingerprint. */
  readonly identity: string;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly onEvent?: (event: ParticipantEvent) => void;
}

/**
 * Serves the rounds of an aggregator.
 * @returns when the aggregator says that the run is over.
 * @throws FederatedError `protocol` if the channel ends before; the next one goes on where it was.
 */
export async function participate(
  channel: Pick<Channel, "serve" | "closed" | "peer">,
  options: ParticipantOptions,
): Promise<void> {
  if (!AttestationResult.is(channel.peer)) {
    throw new FederatedError("refused", "The aggregator of this channel has not been attested.");
  }
  const side = new Participant(options);
  let over: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    over = resolve;
  });
  const stop = channel.serve([
    handle(helloCall, (fields) => side.hello(fields)),
    handleStream(fitStream, (incoming, { params, signal }) => side.fit(params, incoming, signal)),
    handle(commitCall, (fields) => side.commit(fields)),
    handleStream(evaluateStream, (incoming, { params }) => side.evaluate(params, incoming)),
    handle(doneCall, (fields) => side.done(fields, over)),
  ]);
  try {
    await Promise.race([
      finished,
      channel.closed.then(({ code, message }) => {
        throw new FederatedError("protocol", `The aggregator is gone (${code}): ${message}`);
      }),
    ]);
  } finally {
    stop();
  }
}

class Participant {
  readonly #options: ParticipantOptions;
  /** One request at a time changes what is remembered. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ParticipantOptions) {
    this.#options = options;
  }

  /** The aggregator's whole plan, so that a difference can be named. */
  async hello(fields: Fields): Promise<Fields> {
    const { plan, trainer, memory } = this.#options;
    const theirs = readPlan(fields["plan"]);
    const differences = differencesOf(plan as unknown as Encodable, theirs as unknown as Encodable);
    if (differences.length > 0) {
      throw new FederatedError("plan-mismatch", `The plans differ: ${differences.join("; ")}.`);
    }
    const before = await memory.read();
    if (before !== undefined && before.run !== textOf(fields, "run")) {
      throw new FederatedError(
        "wrong-state",
        "This participant is in another run; an aggregator that lost its state must not begin it again.",
      );
    }
    return { examples: trainer.examples, size: trainer.size };
  }

  async *fit(
    params: Fields,
    incoming: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const vectors = strategyOf(this.#options.plan).requires.includes("control") ? 2 : 1;
    const given = await readVectors(incoming, this.#options.trainer.size, vectors);
    const kept = await this.#exclusively(() => this.#update(params, given, signal));
    yield kept.header.slice();
    for (const piece of kept.pieces) yield piece.slice();
  }

  /** The update of a round: the one that was made already, or a new one. */
  async #update(
    params: Fields,
    [parameters, global]: readonly Float32Array[],
    signal: AbortSignal,
  ): Promise<Remembered> {
    const { plan, trainer, memory, crypto, random, onEvent, identity } = this.#options;
    if (parameters === undefined) throw new FederatedError("protocol", "No parameters came.");
    const run = textOf(params, "run");
    const round = wholeOf(params, "round");
    const base = await modelDigest(crypto, parameters);
    const planHex = toHex(await planDigest(crypto, plan));
    const before = await memory.read();
    if (before !== undefined) {
      if (before.run !== run) throw new FederatedError("wrong-state", "This is another run.");
      if (round < before.round) {
        throw new FederatedError(
          "refused",
          `Round ${round} is over: this participant is in round ${before.round}.`,
        );
      }
      if (round === before.round) {
        // The same update for the same question, and none for another one.
        if (base === before.base) return before;
        throw new FederatedError(
          "refused",
          `Round ${round} has begun with other parameters before.`,
        );
      }
    }
    onEvent?.({ type: "training", round });
    const strategy = strategyOf(plan);
    const control = before?.set === null ? before.control : (before?.nextControl ?? null);
    const own = control ?? new Float32Array(trainer.size);
    const { epochs, batchSize, learningRate, l2 } = plan.training;
    const result = await trainer.fit(
      parameters,
      {
        ...{ epochs, batchSize, learningRate, l2 },
        proximalMu: strategy.clientConfig["proximalMu"] ?? 0,
        seed: seedOf(plan.seed, run, round, identity),
        ...(global === undefined
          ? {}
          : { correction: global.map((c, i) => c - (own[i] as number)) }),
      },
      AbortSignal.any([signal, this.#options.signal]),
    );
    const delta = result.parameters.map((value, i) => value - (parameters[i] as number));
    const nextControl =
      global === undefined
        ? null
        : // Option II of SCAFFOLD: c_i − c + (x − y) / (K η).
          own.map(
            (value, i) =>
              value - (global[i] as number) - (delta[i] as number) / (result.steps * learningRate),
          );
    const change = nextControl?.map((value, i) => value - (own[i] as number));
    const header = encodeHeader({
      ...{ run, round, base, plan: planHex },
      examples: trainer.examples,
      steps: result.steps,
      loss: result.loss,
      size: trainer.size,
      vectors: change === undefined ? 1 : 2,
    });
    const key = random.bytes(keyBytes);
    const pieces = sealPieces(key, header, change === undefined ? [delta] : [delta, change]);
    const hash = createHash("sha256");
    for (const piece of pieces) hash.update(piece);
    const update = await updateDigest(crypto, header, new Uint8Array(hash.digest()));
    const made: Remembered = {
      ...{ run, round, base, header, pieces, key, update, control, nextControl },
      set: null,
    };
    // Remembered before a byte of it leaves: what was sent once is never made anew.
    await memory.write(made);
    onEvent?.({ type: "trained", round, loss: result.loss, steps: result.steps });
    return made;
  }

  /** Gives the key, if the set is one that this participant would be part of, and the only one. */
  async commit(fields: Fields): Promise<Fields> {
    return await this.#exclusively(async () => {
      const { memory, crypto, identity, cohort, onEvent } = this.#options;
      const before = await memory.read();
      const run = textOf(fields, "run");
      const round = wholeOf(fields, "round");
      if (before === undefined || before.run !== run || before.round !== round) {
        throw new FederatedError("refused", `This participant has no update of round ${round}.`);
      }
      const members = membersOf(fields["members"]);
      const own = members.find(({ participant }) => participant === identity);
      if (own?.update !== before.update) {
        throw new FederatedError("refused", "The set does not hold this participant's update.");
      }
      const counted = members.filter(
        ({ participant }) => cohort.identities === "any" || cohort.identities.includes(participant),
      );
      if (counted.length < cohort.minimum) {
        throw new FederatedError(
          "refused",
          `The set has ${counted.length} participants that count; this one wants ${cohort.minimum}.`,
        );
      }
      const set = await setDigest(crypto, run, round, members);
      if (before.set !== null && before.set !== set) {
        throw new FederatedError("refused", `Another set was committed to in round ${round}.`);
      }
      if (before.set === null) await memory.write({ ...before, set });
      onEvent?.({ type: "committed", round, cohort: members.length });
      return { key: before.key };
    });
  }

  async *evaluate(params: Fields, incoming: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const { trainer, onEvent } = this.#options;
    const [parameters] = await readVectors(incoming, trainer.size, 1);
    const { examples, loss, accuracy } = trainer.evaluate(parameters as Float32Array);
    onEvent?.({ type: "evaluated", round: wholeOf(params, "round"), examples, loss, accuracy });
    yield encode({ examples, loss, accuracy });
  }

  async done(fields: Fields, over: () => void): Promise<Fields> {
    const { receipt } = fields;
    if (receipt instanceof Uint8Array) {
      this.#options.onEvent?.({ type: "receipt", round: wholeOf(fields, "round"), receipt });
    }
    if (fields["end"] === true) setImmediate(over);
    return {};
  }

  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(work);
    this.#turn = next.catch(() => undefined);
    return next;
  }
}

/** A participant's own order of examples in each round, the same after a restart. */
export function seedOf(seed: number, run: string, round: number, identity: string): number {
  const input = lengthPrefixed(
    labels.federatedDraw,
    "order",
    String(seed),
    run,
    String(round),
    identity,
  );
  const digest = createHash("sha256").update(input).digest();
  return digest.readUInt32LE(0);
}

function membersOf(value: Encodable | undefined): readonly SetMember[] {
  const list = Array.isArray(value) ? (value as readonly Encodable[]) : [];
  const members = list.map((item): SetMember => {
    const fields = (typeof item === "object" && item !== null ? item : {}) as Fields;
    return { participant: textOf(fields, "participant"), update: textOf(fields, "update") };
  });
  // A Sybil by repetition: one participant must not count twice.
  if (new Set(members.map(({ participant }) => participant)).size !== members.length) {
    throw new FederatedError("refused", "The set names a participant twice.");
  }
  return members;
}

/** Names of the fields in which two plans differ, with both values. */
function differencesOf(a: Encodable, b: Encodable, path = ""): readonly string[] {
  const isMap = (value: Encodable): value is Fields =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  if (isMap(a) && isMap(b)) {
    return [...new Set([...Object.keys(a), ...Object.keys(b)])].flatMap((name) =>
      differencesOf(a[name] ?? null, b[name] ?? null, path === "" ? name : `${path}.${name}`),
    );
  }
  return a === b ? [] : [`${path} is ${JSON.stringify(a)} here and ${JSON.stringify(b)} there`];
}
