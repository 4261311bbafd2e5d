/** One round: updates from a cohort, a set that all of it commits to, keys, and their aggregate. */

import { createHash } from "node:crypto";
import { type Crypto, labels, lengthPrefixed, throwIfAborted, VivariumError } from "@vivarium/core";
import { FederatedError } from "./errors.ts";
import type { Collected } from "./journal.ts";
import type { Member, Members } from "./members.ts";
import { type FederatedPlan, strategyOf } from "./plan.ts";
import { type Spool, spoolDigest } from "./spool.ts";
import type { StrategyState } from "./strategies/index.ts";
import {
  decodeHeader,
  keyBytes,
  pieceCount,
  sealedPieceBytes,
  type UpdateHeader,
  updateDigest,
} from "./update.ts";
import { bytesOf, commitCall, fitStream, vectorMessages } from "./wire.ts";

export interface RoundContext {
  readonly plan: FederatedPlan;
  /** Digests, hexadecimal. */
  readonly planDigest: string;
  readonly base: string;
  readonly run: string;
  readonly round: number;
  readonly parameters: Float32Array;
  readonly state: StrategyState;
  /** Of the run's noise. */
  readonly noiseKey: Uint8Array;
  readonly members: Members;
  readonly spool: Spool;
  readonly crypto: Crypto;
  readonly signal: AbortSignal;
  readonly onEvent: (event: RoundEvent) => void;
}

export type RoundEvent =
  | { readonly type: "cohort"; readonly round: number; readonly cohort: readonly string[] }
  | {
      readonly type: "update";
      readonly round: number;
      readonly participant: string;
      readonly bytes: number;
      readonly loss: number;
    }
  | {
      readonly type: "failed";
      readonly round: number;
      readonly participant: string;
      readonly reason: string;
    }
  | {
      readonly type: "quarantined";
      readonly round: number;
      readonly participant: string;
      readonly reason: string;
    };

/**
 * Who is asked: a draw that the run's seed and id fix, so that a restart draws the same and nobody
 * chooses. Identities in order.
 */
export function drawCohort(
  present: readonly Member[],
  { plan, run, round }: Pick<RoundContext, "plan" | "run" | "round">,
): readonly string[] {
  const ticket = (identity: string): string => {
    const input = lengthPrefixed(
      labels.federatedDraw,
      "cohort",
      String(plan.seed),
      run,
      String(round),
      identity,
    );
    return createHash("sha256").update(input).digest("hex");
  };
  return present
    .map(({ identity }) => ({ identity, ticket: ticket(identity) }))
    .sort((a, b) => (a.ticket < b.ticket ? -1 : 1))
    .slice(0, plan.sampleSize)
    .map(({ identity }) => identity)
    .sort();
}

/**
 * Asks the cohort, who may leave and return meanwhile, until all have answered, or enough and the grace is
 * over, or the deadline has come.
 * @throws FederatedError `timeout` with too few updates.
 */
export async function collect(
  context: RoundContext,
  cohort: readonly string[],
): Promise<readonly Collected[]> {
  const { plan, round, members, signal, onEvent } = context;
  const got = new Map<string, Collected>();
  const asking = new Set<string>();
  const stop = new AbortController();
  const all = AbortSignal.any([signal, stop.signal]);
  let wake: () => void = () => undefined;
  const ask = (member: Member): void => {
    const { identity } = member;
    asking.add(identity);
    askOne(context, member, all)
      .then(
        (collected) => {
          got.set(identity, collected);
        },
        (thrown: unknown) => {
          if (all.aborted) return;
          const reason =
            thrown instanceof VivariumError ? `${thrown.id}: ${thrown.message}` : "it failed";
          // What it sent is wrong, and would be wrong again; a connection that broke may come back.
          if (
            thrown instanceof FederatedError &&
            thrown.code !== "protocol" &&
            thrown.code !== "aborted"
          ) {
            members.quarantine(identity, reason);
            onEvent({ type: "quarantined", round, participant: identity, reason });
          } else onEvent({ type: "failed", round, participant: identity, reason });
        },
      )
      .finally(() => {
        asking.delete(identity);
        wake();
      });
  };
  const failedChannels = new Set<Member["channel"]>();
  const begin = performance.now();
  let enoughAt: number | undefined;
  try {
    for (;;) {
      throwIfAborted(signal);
      const wanted = cohort.filter((identity) => !members.quarantined.has(identity));
      for (const identity of wanted) {
        const member = members.get(identity);
        if (member === undefined || got.has(identity) || asking.has(identity)) continue;
        // Once a connection: one that fails at once must not be asked in a loop.
        if (failedChannels.has(member.channel)) continue;
        failedChannels.add(member.channel);
        ask(member);
      }
      if (wanted.every((identity) => got.has(identity)) && got.size >= plan.minResponses) break;
      const now = performance.now();
      if (got.size >= plan.minResponses) enoughAt ??= now;
      const deadline = begin + plan.deadlineMs;
      const end = enoughAt === undefined ? deadline : Math.min(deadline, enoughAt + plan.graceMs);
      if (now >= end) break;
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const turn = new AbortController();
      const changed = members
        .change(end - now, AbortSignal.any([signal, turn.signal]))
        .catch(() => undefined);
      await Promise.race([woken, changed]);
      turn.abort();
    }
  } finally {
    // Who is late is told so, and its update is not used.
    stop.abort(new FederatedError("aborted", `Round ${round} went on without this update.`));
  }
  if (got.size < plan.minResponses) {
    throw new FederatedError(
      "timeout",
      `Round ${round} has ${got.size} updates after ${Math.round(plan.deadlineMs / 1000)} s; it needs ${plan.minResponses}.`,
    );
  }
  return [...got.values()].sort((a, b) => (a.participant < b.participant ? -1 : 1));
}

async function askOne(
  { plan, planDigest, base, run, round, parameters, state, spool, crypto, onEvent }: RoundContext,
  { identity, channel }: Member,
  signal: AbortSignal,
): Promise<Collected> {
  const requires = strategyOf(plan).requires;
  const control = requires.includes("control")
    ? [Float32Array.from(state["control"] ?? new Float64Array(parameters.length))]
    : [];
  const stream = channel.stream(fitStream, vectorMessages([parameters, ...control]), {
    params: { run, round },
    signal,
  });
  const first = await stream.next();
  if (first.done === true)
    throw new FederatedError("bad-update", "The participant sent no update.");
  const bytes = first.value;
  const header = decodeHeader(bytes);
  const expected = {
    run,
    round,
    base,
    plan: planDigest,
    size: parameters.length,
    vectors: 1 + control.length,
  };
  for (const [name, value] of Object.entries(expected)) {
    if (header[name as keyof UpdateHeader] !== value) {
      throw new FederatedError("bad-update", `The update's ${name} is not that of this round.`);
    }
  }
  let received = 0;
  let index = 0;
  const count = pieceCount(header);
  async function* checked(): AsyncGenerator<Uint8Array> {
    for await (const piece of stream) {
      if (index >= count || piece.length !== sealedPieceBytes(header, index)) {
        throw new FederatedError("bad-update", "The update has a piece of another length.");
      }
      index++;
      received += piece.length;
      yield piece;
    }
    if (index !== count) throw new FederatedError("bad-update", "The update is cut short.");
  }
  const ciphertext = await spool.write(round, identity, checked());
  const update = await updateDigest(crypto, bytes, ciphertext);
  onEvent({ type: "update", round, participant: identity, bytes: received, loss: header.loss });
  return { participant: identity, header: bytes, update };
}

/** True if all sealed updates of the set are on disk as they came. */
export async function stillThere(
  context: Pick<RoundContext, "spool" | "crypto" | "round">,
  set: readonly Collected[],
): Promise<boolean> {
  for (const { participant, header, update } of set) {
    const digest = await spoolDigest(context.spool, context.round, participant, lengthsOf(header));
    if (digest === undefined) return false;
    if ((await updateDigest(context.crypto, header, digest)) !== update) return false;
  }
  return true;
}

/** Bytes of each sealed piece. */
export function lengthsOf(header: Uint8Array): readonly number[] {
  const decoded = decodeHeader(header);
  return Array.from({ length: pieceCount(decoded) }, (_, i) => sealedPieceBytes(decoded, i));
}

/**
 * Commits to the set with each of its participants, who answer with their keys. One that is away may
 * come back until the deadline: without its key the round has no result, since no other set may follow.
 * @throws FederatedError `timeout`, or what a participant refuses.
 */
export async function commitSet(
  { plan, run, round, members, signal }: RoundContext,
  set: readonly Collected[],
): Promise<ReadonlyMap<string, Uint8Array>> {
  const list = set.map(({ participant, update }) => ({ participant, update }));
  const keys = new Map<string, Uint8Array>();
  const end = performance.now() + plan.deadlineMs;
  const tried = new Set<Member["channel"]>();
  let refused: FederatedError | undefined;
  for (;;) {
    const missing = set.filter(({ participant }) => !keys.has(participant));
    if (missing.length === 0) return keys;
    if (refused !== undefined) throw refused;
    await Promise.all(
      missing.map(async ({ participant }) => {
        const member = members.get(participant);
        if (member === undefined || tried.has(member.channel)) return;
        tried.add(member.channel);
        try {
          const timeoutMs = Math.max(1, Math.ceil(end - performance.now()));
          const answer = await member.channel.call(
            commitCall,
            { run, round, members: list },
            { signal, timeoutMs },
          );
          keys.set(participant, bytesOf(answer, "key", keyBytes));
        } catch (thrown) {
          throwIfAborted(signal);
          if (thrown instanceof FederatedError && thrown.code === "refused") refused = thrown;
        }
      }),
    );
    const left = end - performance.now();
    if (keys.size < set.length && refused === undefined) {
      if (left <= 0) {
        const names = set
          .filter(({ participant }) => !keys.has(participant))
          .map(({ participant }) => participant);
        throw new FederatedError(
          "timeout",
          `Round ${round} waits for the keys of ${names.join(", ")}; start them again and resume.`,
        );
      }
      // One that came while the others were asked has woken nobody.
      const here = set.some(({ participant }) => {
        const member = members.get(participant);
        return !keys.has(participant) && member !== undefined && !tried.has(member.channel);
      });
      if (!here) await members.change(left, signal);
    }
  }
}
