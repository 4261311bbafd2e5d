/** An aggregator's side: rounds until the plan is done, with a receipt of each. */
import { createHash } from "node:crypto";
import { type Crypto, decode, type Encodable, type Random, toHex } from "@vivarium/core";
import { FederatedError } from "./errors.ts";
import type { Checkpoint, Journal, RoundMetrics } from "./journal.ts";
import type { Member, MemberChannel, Members } from "./members.ts";
import { aggregateSet, type RoundResult } from "./open-set.ts";
import { type FederatedPlan, type PrivacyPlan, planDigest, strategyOf } from "./plan.ts";
import { epsilonOf } from "./privacy/accountant.ts";
import {
  collect,
  commitSet,
  drawCohort,
  type RoundContext,
  type RoundEvent,
  stillThere,
} from "./round.ts";
import type { Spool } from "./spool.ts";
import { modelDigest, setDigest } from "./update.ts";
import {
  doneCall,
  evaluateStream,
  type Fields,
  helloCall,
  numberOf,
  vectorMessages,
  wholeOf,
} from "./wire.ts";

export type AggregatorEvent =
  | RoundEvent
  | { readonly type: "joined"; readonly participant: string; readonly examples: number }
  | { readonly type: "left"; readonly participant: string }
  | {
      readonly type: "round";
      readonly round: number;
      readonly accepted: number;
      readonly loss: number;
      readonly examples: number;
    }
  | ({ readonly type: "metrics" } & RoundMetrics)
  | { readonly type: "resumed"; readonly round: number };

/** What a receipt says of a round. Hexadecimal digests. */
export interface RoundReceiptBody {
  readonly [name: string]: Encodable;
}

export interface AggregatorOptions {
  readonly plan: FederatedPlan;
  /** Number of parameters, and the first ones where no checkpoint is. */
  readonly initial: Float32Array;
  readonly members: Members;
  readonly journal: Journal;
  readonly spool: Spool;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly signal: AbortSignal;
  /** Signs what is given and says who took part. */
  readonly sign: (body: RoundReceiptBody, cohort: readonly Member[]) => Promise<Uint8Array>;
  readonly onReceipt?: (round: number, receipt: Uint8Array) => Promise<void>;
  readonly onEvent?: (event: AggregatorEvent) => void;
}

export interface FederatedResult {
  readonly run: string;
  readonly rounds: number;
  /** Of the best evaluation, or the last round without any. */
  readonly parameters: Float32Array;
  readonly best: { readonly round: number; readonly loss: number } | null;
  readonly history: readonly RoundMetrics[];
  readonly quarantined: Readonly<Record<string, string>>;
  /** Ended before the last round, since the loss no longer fell. */
  readonly stoppedEarly: boolean;
}

/**
 * Lets a participant in: compares plans with it, and knows how much data it has.
 * @throws FederatedError `plan-mismatch`, `wrong-state`, `protocol`; ChannelError.
 */
export async function welcome(
  channel: MemberChannel,
  {
    plan,
    run,
    members,
    size,
  }: {
    readonly plan: FederatedPlan;
    readonly run: string;
    readonly members: Members;
    readonly size: number;
  },
): Promise<Member | undefined> {
  const answer = await channel.call(
    helloCall,
    { run, plan: plan as unknown as Fields },
    { timeoutMs: plan.deadlineMs },
  );
  if (wholeOf(answer, "size") !== size) {
    throw new FederatedError("plan-mismatch", "The participant's model has another size.");
  }
  return members.add(channel, wholeOf(answer, "examples"));
}

/** The id of the run in the journal, or of a new one. Hexadecimal. */
export async function runIdOf(journal: Journal, random: Random): Promise<string> {
  const { checkpoint } = await journal.read();
  return checkpoint?.run ?? toHex(random.bytes(16));
}

/**
 * Runs the plan to its end. What was finished before is in the journal and is not done again.
 * @throws FederatedError `timeout`, `too-few`, `wrong-state`; then the journal holds what a resume needs.
 */
export async function aggregate(options: AggregatorOptions, run: string): Promise<FederatedResult> {
  const { plan, journal, spool, members, crypto, signal, onEvent = () => undefined } = options;
  const digest = toHex(await planDigest(crypto, plan));
  const before = await journal.read();
  let checkpoint = before.checkpoint ?? firstCheckpoint(options, run, digest);
  if (checkpoint.run !== run || checkpoint.plan !== digest) {
    throw new FederatedError("wrong-state", "The state is of another run or plan.");
  }
  if (checkpoint.parameters.length !== options.initial.length) {
    throw new FederatedError("wrong-state", "The state is of another model.");
  }
  // Before anybody learns of the run: an aggregator that forgets its id could not go on with it.
  if (before.checkpoint === undefined) await journal.finish(checkpoint);
  else onEvent({ type: "resumed", round: checkpoint.round });
  for (const [identity, reason] of Object.entries(checkpoint.quarantined)) {
    members.quarantine(identity, reason);
  }
  let { pending } = before;
  let stoppedEarly = exhausted(plan, checkpoint);
  while (checkpoint.round < plan.rounds && !stoppedEarly) {
    const round = checkpoint.round + 1;
    const { parameters, state, noiseKey } = checkpoint;
    const context: RoundContext = {
      ...{ plan, run, round, parameters, state, noiseKey, members, spool, crypto, signal, onEvent },
      planDigest: digest,
      base: await modelDigest(crypto, parameters),
    };
    const result = await oneRound(
      options,
      context,
      pending?.round === round ? pending.members : undefined,
    );
    pending = undefined;
    checkpoint = await finished(options, context, checkpoint, result);
    stoppedEarly = exhausted(plan, checkpoint);
    // Sealed updates of a finished round are of no use to anybody, and their keys were given.
    await spool.remove(round);
  }
  await bye(members, checkpoint.round);
  const { best, history, quarantined } = checkpoint;
  return {
    run,
    rounds: checkpoint.round,
    parameters: best?.parameters ?? checkpoint.parameters,
    best: best === null ? null : { round: best.round, loss: best.loss },
    history,
    quarantined,
    stoppedEarly: stoppedEarly && checkpoint.round < plan.rounds,
  };
}

function firstCheckpoint(
  { plan, initial, random }: AggregatorOptions,
  run: string,
  digest: string,
): Checkpoint {
  return {
    run,
    plan: digest,
    round: 0,
    parameters: initial,
    state: strategyOf(plan).initialState(initial.length),
    history: [],
    best: null,
    receipt: "",
    quarantined: {},
    noiseKey: random.bytes(32),
  };
}

type Round = RoundResult & { readonly set: string; readonly cohort: readonly Member[] };

async function oneRound(
  { journal }: AggregatorOptions,
  context: RoundContext,
  pending: Parameters<typeof commitSet>[1] | undefined,
): Promise<Round> {
  const { plan, run, round, members, signal, crypto, onEvent } = context;
  let set = pending;
  if (set === undefined) {
    const present = await members.atLeast(plan.minAvailable, plan.deadlineMs, signal);
    const cohort = drawCohort(present, context);
    onEvent({ type: "cohort", round, cohort });
    set = await collect(context, cohort);
    // From here on no other set may be made of this round, whatever happens to this process.
    await journal.pend({ round, members: set });
  } else if (!(await stillThere(context, set))) {
    throw new FederatedError(
      "wrong-state",
      `Sealed updates of round ${round} are gone from the state.`,
    );
  }
  const keys = await commitSet(context, set);
  const cohort = set.flatMap(({ participant }) => members.get(participant) ?? []);
  const result = await aggregateSet(context, set, keys);
  return { ...result, cohort, set: await setDigest(crypto, run, round, set) };
}

async function finished(
  options: AggregatorOptions,
  context: RoundContext,
  before: Checkpoint,
  result: Round,
): Promise<Checkpoint> {
  const { plan, journal, members, crypto, sign, onReceipt, onEvent = () => undefined } = options;
  const { round, run, base, planDigest: planHex } = context;
  const { accepted, loss, examples } = result;
  onEvent({ type: "round", round, accepted: accepted.length, loss, examples });
  const metrics =
    round % plan.evaluateEvery === 0 || round === plan.rounds
      ? await evaluateRound(options, round, result.parameters)
      : undefined;
  if (metrics !== undefined) onEvent({ type: "metrics", ...metrics });
  const strategy = strategyOf(plan);
  const receipt = await sign(
    {
      protocol: "vivarium federated/1",
      run,
      round,
      plan: planHex,
      strategy: strategy.name,
      settings: { ...strategy.settings },
      cohort: accepted.length,
      rejected: { ...result.rejected },
      set: result.set,
      modelIn: base,
      modelOut: await modelDigest(crypto, result.parameters),
      examples,
      trainingLoss: loss,
      metrics: metrics === undefined ? null : { ...metrics },
      // Null: no noise is added, and what the model itself gives away is not bounded.
      epsilon: plan.privacy === null ? null : epsilonAfter(plan.privacy, round),
      privacy: plan.privacy === null ? null : { ...plan.privacy, mechanism: "gaussian-float" },
      previous: before.receipt,
    },
    result.cohort,
  );
  const improved =
    metrics !== undefined && (before.best === null || metrics.loss < before.best.loss);
  const checkpoint: Checkpoint = {
    run,
    plan: before.plan,
    round,
    parameters: result.parameters,
    state: result.state,
    history: metrics === undefined ? before.history : [...before.history, metrics],
    best: improved ? { round, loss: metrics.loss, parameters: result.parameters } : before.best,
    receipt: createHash("sha256").update(receipt).digest("hex"),
    quarantined: Object.fromEntries(members.quarantined),
    noiseKey: before.noiseKey,
  };
  await onReceipt?.(round, receipt);
  await journal.finish(checkpoint);
  await Promise.all(
    members
      .present()
      .map(({ channel }) =>
        channel
          .call(doneCall, { round, receipt }, { timeoutMs: plan.deadlineMs })
          .catch(() => undefined),
      ),
  );
  return checkpoint;
}

/** Every participant that is there, on its own test data; weighted by examples. */
async function evaluateRound(
  { members, plan, signal }: AggregatorOptions,
  round: number,
  parameters: Float32Array,
): Promise<RoundMetrics | undefined> {
  const answers = await Promise.all(
    members.present().map(async ({ channel }) => {
      try {
        const stream = channel.stream(evaluateStream, vectorMessages([parameters]), {
          params: { round },
          signal,
          timeoutMs: plan.deadlineMs,
        });
        const { value, done } = await stream.next();
        if (done === true || value === undefined) return undefined;
        const fields = decode(value) as Fields;
        const metrics = {
          examples: wholeOf(fields, "examples"),
          loss: numberOf(fields, "loss"),
          accuracy: numberOf(fields, "accuracy"),
        };
        return metrics.examples > 0 ? metrics : undefined;
      } catch {
        return undefined;
      }
    }),
  );
  const good = answers.filter((answer) => answer !== undefined);
  const examples = good.reduce((sum, answer) => sum + answer.examples, 0);
  if (examples === 0) return undefined;
  const mean = (pick: (answer: (typeof good)[number]) => number): number =>
    good.reduce((sum, answer) => sum + answer.examples * pick(answer), 0) / examples;
  return {
    round,
    examples,
    participants: good.length,
    loss: mean(({ loss }) => loss),
    accuracy: mean(({ accuracy }) => accuracy),
  };
}

const epsilonAfter = ({ noiseMultiplier, delta }: PrivacyPlan, rounds: number): number =>
  epsilonOf(noiseMultiplier, rounds, delta);

/** The loss has not fallen for as many evaluations as the plan has patience. */
function exhausted(plan: FederatedPlan, { history, best }: Checkpoint): boolean {
  if (plan.patience === 0 || best === null) return false;
  return history.filter(({ round }) => round > best.round).length >= plan.patience;
}

async function bye(members: Members, round: number): Promise<void> {
  await Promise.all(
    members
      .present()
      .map(({ channel }) =>
        channel.call(doneCall, { round, end: true }, { timeoutMs: 10_000 }).catch(() => undefined),
      ),
  );
}
