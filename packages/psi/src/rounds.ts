/** The rounds that both roles share: own items to masked points, the peer's points to tags. */

import type { ScalarKey } from "@vivarium/curve25519";
import {
  Curve25519Error,
  gatherRecords,
  pointBytes,
  requireHonestPoints,
} from "@vivarium/curve25519";
import type { SavedSession } from "./checkpoint.ts";
import { DistinctRecords } from "./dedup.ts";
import { PsiError } from "./errors.ts";
import { mapInOrder } from "./executor.ts";
import { cutBatches, InputDigest } from "./input.ts";
import { psiLimits } from "./limits.ts";
import { requireDistinctPoints } from "./match.ts";
import type { ResolvedOptions } from "./options.ts";
import type { PayloadStore } from "./payload.ts";
import type { ProgressMeter } from "./progress.ts";
import type { FrameType, Session } from "./session.ts";
import { randomPermutation } from "./shuffle.ts";

/** What a run of any protocol holds on to. */
export interface RunBase {
  readonly session: Session;
  readonly options: ResolvedOptions;
  readonly meter: ProgressMeter;
  /** Session id. */
  readonly id: Uint8Array<ArrayBuffer>;
}

/** A run of protocol `ecdh`. */
export interface Run extends RunBase {
  /** Fresh for this session; never meets a point of another. */
  readonly scalar: ScalarKey;
  /** Saved by an earlier process, if this one goes on with it. */
  readonly resumed?: SavedSession;
  /** Saves the session, once, at the end of its first round. */
  readonly save: (order: Uint32Array, points: Uint8Array<ArrayBuffer>) => Promise<void>;
}

/**
 * Reads and hashes the own items.
 * @param hash batches to records of `width` bytes.
 */
export async function hashInput(
  run: RunBase,
  width: number,
  hash: (items: Uint8Array, offsets: Uint32Array) => Promise<Uint8Array>,
  payloads?: PayloadStore,
): Promise<{ readonly own: DistinctRecords; readonly digest: Uint8Array<ArrayBuffer> }> {
  const { options, meter, session } = run;
  const { maxItems } = options.config;
  const own = new DistinctRecords(width, maxItems, options.random, options.inputKeys);
  const digest = new InputDigest();
  meter.begin("hash", options.inputKeys);
  const hashed = mapInOrder(
    cutBatches(options.input),
    options.executor.parallelism,
    async (batch) => {
      digest.add(batch);
      return { records: await hash(batch.bytes, batch.offsets), batch };
    },
  );
  await consume(session, hashed, ({ records, batch }) => {
    const indices = own.add(records, batch.rows);
    payloads?.add(indices, batch);
    meter.add("hash", batch.rows.length, options.inputKeys);
  });
  return { own, digest: digest.digest() };
}

/** What the second round needs: the own order, and the peer's points, all of them checked. */
export interface FirstRound {
  readonly order: Uint32Array;
  readonly theirs: Uint8Array<ArrayBuffer>;
}

/**
 * The first round, or what was saved of it.
 * @param n the peer's points.
 */
export async function firstRound(run: Run, own: DistinctRecords, n: number): Promise<FirstRound> {
  const { resumed, options } = run;
  if (resumed !== undefined) {
    if (resumed.points.length !== n * pointBytes) {
      throw new PsiError("checkpoint", "The peer's set is another than the checkpoint's.");
    }
    return { order: resumed.order, theirs: resumed.points };
  }
  // Permuted as a whole: where an item stands in the file must not show, nor, when the result goes to
  // both, which of the own items match.
  const order = randomPermutation(own.size, options.random);
  const sending = sendMasked(run, own.records, order);
  const [, theirs] = await Promise.all([sending, receivePoints(run, n)]);
  await run.save(order, theirs);
  return { order, theirs };
}

/** Masks the own distinct points in the given order and sends them as they are ready. */
export async function sendMasked(
  run: RunBase & { readonly scalar: ScalarKey },
  points: Uint8Array,
  order: Uint32Array,
): Promise<void> {
  const { executor } = run.options;
  const n = order.length;
  run.meter.begin("mask", n);
  const masked = mapInOrder(ranges(n), executor.parallelism, ([from, to]) =>
    executor.multiply(run.scalar, gatherRecords(points, pointBytes, order.subarray(from, to))),
  );
  await consume(run.session, masked, async (batch) => {
    await run.session.send("points", batch);
    run.meter.add("mask", batch.length / pointBytes, n);
  });
}

/** Takes all of the peer's points and refuses any that an honest peer could not have sent. */
export async function receivePoints(run: RunBase, n: number): Promise<Uint8Array<ArrayBuffer>> {
  run.meter.begin("receive", n);
  const points = await receiveRecords(run, "points", n, pointBytes, (frame, first) => {
    requireHonest(frame, first);
    run.meter.add("receive", frame.length / pointBytes, n);
  });
  requireDistinctPoints(points, pointBytes, run.options.random);
  return points;
}

/** @throws PsiError `invalid-point` for points that no honest peer sends. */
export function requireHonest(points: Uint8Array, first: number): void {
  try {
    requireHonestPoints(points);
  } catch (cause) {
    const code = cause instanceof Curve25519Error ? cause.code : "malformed";
    const where = `among points ${first} to ${first + points.length / pointBytes - 1}`;
    throw new PsiError("invalid-point", `The peer sent a ${code} point ${where}.`, { cause });
  }
}

/** Tags of the peer's points under the own scalar, handed on in order. */
export async function evaluate(
  run: Run,
  points: Uint8Array,
  width: number,
  take: (tags: Uint8Array, first: number) => Promise<void> | void,
): Promise<void> {
  const { executor, checkpoint } = run.options;
  const n = points.length / pointBytes;
  run.meter.begin("evaluate", n);
  const kept = await checkpoint?.loadTags(run.id, width);
  const known = kept === undefined ? 0 : Math.min(kept.length / width, n);
  for (const [from, to] of ranges(known)) {
    await take((kept as Uint8Array).subarray(from * width, to * width), from);
    run.meter.add("evaluate", to - from, n);
  }
  const segment = new Segment(run, width, known);
  const tags = mapInOrder(ranges(n, undefined, known), executor.parallelism, ([from, to]) =>
    executor.evaluate(run.scalar, points.slice(from * pointBytes, to * pointBytes), run.id, width),
  );
  let first = known;
  await consume(run.session, tags, async (batch) => {
    await segment.add(batch);
    await take(batch, first);
    first += batch.length / width;
    run.meter.add("evaluate", batch.length / width, n);
  });
}

/** Collects tags until there is a segment of a checkpoint. */
class Segment {
  readonly #run: Run;
  readonly #width: number;
  readonly #tags: Uint8Array<ArrayBuffer> | undefined;
  #filled = 0;
  #index: number;

  constructor(run: Run, width: number, known: number) {
    this.#run = run;
    this.#width = width;
    this.#index = Math.floor(known / psiLimits.segmentItems);
    if (run.options.checkpoint !== undefined) {
      this.#tags = new Uint8Array(psiLimits.segmentItems * width);
    }
  }

  async add(batch: Uint8Array): Promise<void> {
    const { options, id } = this.#run;
    if (this.#tags === undefined) return;
    this.#tags.set(batch, this.#filled);
    this.#filled += batch.length;
    if (this.#filled < this.#tags.length) return;
    await options.checkpoint?.saveTags(id, this.#width, this.#index++, this.#tags);
    this.#filled = 0;
  }
}

/** Exactly n records: every frame is full but the last, so a lost or extra one cannot go unseen. */
export async function receiveRecords(
  run: RunBase,
  type: FrameType,
  n: number,
  width: number,
  check: (frame: Uint8Array, first: number) => void = () => undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const records = new Uint8Array(n * width);
  for (const [from, to] of ranges(n)) {
    const frame = await run.session.receive(type, (to - from) * width);
    if (frame.length !== (to - from) * width) {
      throw new PsiError("protocol", `A ${type} frame has not the ${to - from} entries agreed on.`);
    }
    check(frame, from);
    records.set(frame, from * width);
  }
  return records;
}

/** Sends records in full frames. */
export async function sendRecords(
  run: RunBase,
  type: FrameType,
  records: Uint8Array,
  width: number,
): Promise<void> {
  for (const [from, to] of ranges(records.length / width)) {
    await run.session.send(type, records.subarray(from * width, to * width));
  }
}

/** Batches of positions. */
export function* ranges(
  n: number,
  size: number = psiLimits.batchItems,
  start = 0,
): Generator<readonly [from: number, to: number]> {
  for (let from = start; from < n; from += size) yield [from, Math.min(n, from + size)];
}

/** Takes results until the session fails; a source that hangs then cannot hold the run up. */
export async function consume<T>(
  session: Session,
  source: AsyncIterable<T>,
  take: (value: T) => Promise<void> | void,
): Promise<void> {
  let failed = false;
  const work = (async () => {
    for await (const value of source) {
      if (failed) return;
      await take(value);
    }
  })();
  try {
    await session.guard(work);
  } finally {
    failed = true;
  }
}
