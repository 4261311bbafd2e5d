/** Opening the updates of a set that all of it committed to, and their aggregate. */
import { FederatedError } from "./errors.ts";
import type { Collected } from "./journal.ts";
import { strategyOf } from "./plan.ts";
import { gaussianNoise } from "./privacy/noise.ts";
import { lengthsOf, type RoundContext } from "./round.ts";
import type { Spool } from "./spool.ts";
import { type AggregateResult, clipped, exactSum, type FitUpdate } from "./strategies/index.ts";
import { decodeHeader, openPiece, setDigest, type UpdateHeader } from "./update.ts";

export interface RoundResult extends AggregateResult {
  /** Participants whose updates count. */
  readonly accepted: readonly string[];
  /** And those of the set that did not, with the reason. */
  readonly rejected: Readonly<Record<string, string>>;
  readonly examples: number;
  /** Mean training loss by examples, before training. */
  readonly loss: number;
}

/**
 * Opens the set's updates and aggregates them: as they are read where a sum is enough.
 * @throws FederatedError `too-few` if updates that open to nonsense leave too few.
 */
export async function aggregateSet(
  context: RoundContext,
  set: readonly Collected[],
  keys: ReadonlyMap<string, Uint8Array>,
): Promise<RoundResult> {
  const { plan, parameters, state, spool, round, members, onEvent } = context;
  const strategy = strategyOf(plan);
  const rejected: Record<string, string> = {};
  const updates: FitUpdate[] = [];
  const size = parameters.length;
  const headers = new Map<string, UpdateHeader>();
  const rule = strategy.mean;
  const sums = [
    exactSum(rule === undefined ? 0 : size),
    exactSum(rule === undefined ? 0 : size),
  ] as const;
  for (const { participant, header: bytes } of set) {
    const header = decodeHeader(bytes);
    try {
      // Whole first: what does not open to the end must not be half in the sum.
      const vectors = await openUpdate(
        spool,
        round,
        participant,
        bytes,
        keys.get(participant) as Uint8Array,
      );
      if (rule === undefined) updates.push(fitUpdate(participant, header, vectors));
      else {
        // With noise all count the same: the number of examples must not raise what one can do.
        const weight = plan.privacy === null ? rule.weigh(header) : 1;
        for (const [i, vector] of vectors.entries()) sums[i as 0 | 1].check(vector);
        const bounded =
          plan.privacy === null
            ? vectors
            : vectors.map((vector) => clipped(vector, plan.privacy?.clipNorm as number));
        for (const [i, vector] of bounded.entries()) {
          const sum = sums[i as 0 | 1];
          sum.beginUpdate(weight);
          sum.add(vector, weight);
        }
      }
      headers.set(participant, header);
    } catch (thrown) {
      if (!(thrown instanceof FederatedError) || thrown.code !== "bad-update") throw thrown;
      rejected[participant] = thrown.message;
      members.quarantine(participant, thrown.message);
      onEvent({ type: "quarantined", round, participant, reason: thrown.message });
    }
  }
  const accepted = [...headers.keys()];
  if (accepted.length < Math.max(strategy.minimumUpdates, plan.minResponses)) {
    throw new FederatedError("too-few", `Round ${round} has only ${accepted.length} good updates.`);
  }
  if (plan.privacy !== null) {
    const { clipNorm, noiseMultiplier } = plan.privacy;
    const { run, noiseKey, crypto } = context;
    const draw = gaussianNoise(noiseKey, run, round, await setDigest(crypto, run, round, set));
    sums[0].perturb(() => clipNorm * noiseMultiplier * draw());
  }
  const result =
    rule === undefined
      ? strategy.aggregate({ parameters, state, updates })
      : rule.apply({
          parameters,
          state,
          delta: sums[0].mean(),
          control: strategy.requires.includes("control") ? sums[1].mean() : undefined,
          count: accepted.length,
        });
  const all = [...headers.values()];
  const examples = all.reduce((sum, header) => sum + header.examples, 0);
  const loss = all.reduce((sum, header) => sum + header.loss * header.examples, 0) / examples;
  return { ...result, accepted, rejected, examples, loss };
}

async function openUpdate(
  spool: Spool,
  round: number,
  participant: string,
  header: Uint8Array,
  key: Uint8Array,
): Promise<readonly Float32Array[]> {
  const { size, vectors } = decodeHeader(header);
  const bytes = new Uint8Array(4 * size * vectors);
  let filled = 0;
  let index = 0;
  for await (const piece of spool.read(round, participant, lengthsOf(header))) {
    const opened = openPiece(key, header, index++, piece);
    bytes.set(opened, filled);
    filled += opened.length;
  }
  return Array.from(
    { length: vectors },
    (_, i) => new Float32Array(bytes.buffer, 4 * size * i, size),
  );
}

function fitUpdate(
  participant: string,
  { examples, steps, loss }: UpdateHeader,
  [delta, control]: readonly Float32Array[],
): FitUpdate {
  const update = { participant, examples, steps, loss, delta: delta as Float32Array };
  for (const value of update.delta) {
    if (!Number.isFinite(value)) {
      throw new FederatedError(
        "bad-update",
        `The update of ${participant} has a value that is no number.`,
      );
    }
  }
  return control === undefined ? update : { ...update, control };
}
