/**
 * Modes `labels` and `sum`: an oblivious pseudorandom function (2HashDH; Jarecki, Kiayias, Krawczyk,
 * ASIACRYPT 2014) of which the sender has the key b. The receiver learns F(x) = H2(H(x), [b]H(x)) of its own
 * items and nothing else; the sender knows F(y) of its items, and seals each payload under a key from it.
 * A payload opens for who has the item.
 *
 * The receiver's scalar a has an inverse c that is clamped too, so that [c][b][a]H(x) = [b]H(x) by the same
 * ladder. The cofactor is cleared by either of them.
 */
import { labels, lengthPrefixed } from "@vivarium/core";
import {
  digestRecords,
  gatherRecords,
  invertibleScalar,
  noRecord,
  pointBytes,
  RecordTable,
  type ScalarKey,
} from "@vivarium/curve25519";
import type { DistinctRecords } from "./dedup.ts";
import { PsiError } from "./errors.ts";
import { mapInOrder } from "./executor.ts";
import { psiLimits } from "./limits.ts";
import { labelIn, type PayloadStore, type PsiStatistics, payloadBytes, Sums } from "./payload.ts";
import type { Outcome } from "./receiver.ts";
import {
  consume,
  type RunBase,
  ranges,
  receivePoints,
  receiveRecords,
  requireHonest,
  sendMasked,
} from "./rounds.ts";
import { sealBytes } from "./sealing.ts";
import { randomPermutation } from "./shuffle.ts";
import { tagBytes } from "./truncate.ts";

/** What the receiver learns besides which items are common. */
export interface Payloads {
  /** Label of each distinct own item that matched, by its index. */
  readonly labels?: ReadonlyMap<number, Uint8Array>;
  readonly statistics?: PsiStatistics;
}

/** The receiver: blinds, unblinds, looks up what the sender sends, opens what matches. */
export async function receivePayloads(
  run: RunBase,
  own: DistinctRecords,
  m: number,
): Promise<Outcome & Payloads> {
  const { options, meter, id } = run;
  const { mode, sum } = options.config;
  const n = own.size;
  const { scalar, inverse } = invertibleScalar(options.random);
  const order = randomPermutation(n, options.random);
  const points = gatherRecords(own.records, pointBytes, order);
  const identity = Uint32Array.from(order, (_, i) => i);
  const [, evaluated] = await Promise.all([
    sendMasked({ ...run, scalar }, points, identity),
    receiveEvaluated(run, n),
  ]);
  const outputs = await multiplyAll(run, inverse, evaluated, "evaluate");
  const { tags, keys } = derive(id, points, outputs, tagBytes(n, m));
  const found = await openMatches(run, tags, keys, m);
  const matches = found.size;
  meter.add("match", 0, m);
  if (mode === "sum") {
    // Enforced by this trust domain: the sum over few items says too much of each.
    if (matches < (sum?.minMatches ?? 1)) {
      throw new PsiError(
        "too-few-matches",
        "There are fewer common items than the agreed minimum.",
      );
    }
    const sums = new Sums();
    for (const payload of found.values()) sums.add(payload);
    return { matches, marked: undefined, statistics: sums.statistics(sum?.decimals ?? 0) };
  }
  const marked = new Uint8Array(n);
  const texts = new Map<number, Uint8Array>();
  for (const [i, payload] of found) {
    const index = order[i] as number;
    marked[index] = 1;
    texts.set(index, labelIn(payload));
  }
  return { matches, marked, labels: texts };
}

/** The sender: evaluates the receiver's points, then sends (tag, sealed payload), permuted as a whole. */
export async function sendPayloads(
  run: RunBase & { readonly scalar: ScalarKey },
  own: DistinctRecords,
  store: PayloadStore,
  n: number,
): Promise<Outcome> {
  const { session, options, meter, id } = run;
  const { executor } = options;
  const m = own.size;
  const theirs = await receivePoints(run, n);
  const evaluated = await multiplyAll(run, run.scalar, theirs, "evaluate");
  for (const [from, to] of ranges(n)) {
    await session.send("evaluated", evaluated.subarray(from * pointBytes, to * pointBytes));
  }
  const bytes = payloadBytes(options.config) as number;
  const order = randomPermutation(m, options.random);
  const width = tagBytes(n, m);
  meter.begin("mask", m);
  const records = mapInOrder(
    ranges(m, recordsOfFrame(width, bytes)),
    executor.parallelism,
    async ([from, to]) => {
      const some = order.subarray(from, to);
      const points = gatherRecords(own.records, pointBytes, some);
      const { tags, keys } = derive(id, points, await executor.multiply(run.scalar, points), width);
      const sealed = await executor.seal(keys, gatherPayloads(store.bytes, bytes, some), bytes);
      keys.fill(0);
      return interleave(tags, width, sealed, bytes + sealBytes);
    },
  );
  await consume(session, records, async (frame) => {
    await session.send("payloads", frame);
    meter.add("mask", frame.length / (width + bytes + sealBytes), m);
  });
  return { matches: undefined, marked: undefined };
}

/** Positions of common items in the receiver's order, with their opened payloads. */
async function openMatches(
  run: RunBase,
  tags: Uint8Array,
  keys: Uint8Array,
  m: number,
): Promise<Map<number, Uint8Array>> {
  const { session, options, meter } = run;
  const n = keys.length / 32;
  const width = n === 0 ? tagBytes(0, m) : tags.length / n;
  const bytes = payloadBytes(options.config) as number;
  const size = width + bytes + sealBytes;
  const table = new RecordTable(width, options.random, n);
  table.add(tags);
  if (table.size !== n) {
    throw new PsiError("collision", "Two different items have the same tag: run again.");
  }
  const found = new Map<number, Uint8Array>();
  meter.begin("match", m);
  for (const [from, to] of ranges(m, recordsOfFrame(width, bytes))) {
    const frame = await session.receive("payloads", (to - from) * size);
    if (frame.length !== (to - from) * size) {
      throw new PsiError(
        "protocol",
        `A payloads frame has not the ${to - from} entries agreed on.`,
      );
    }
    const heads = columnOf(frame, size, 0, width);
    const matched: number[] = [];
    const places: number[] = [];
    for (const [i, index] of table.find(heads).entries()) {
      if (index === noRecord) continue;
      matched.push(index);
      places.push(i);
    }
    if (new Set(matched).size !== matched.length || matched.some((index) => found.has(index))) {
      throw new PsiError("duplicate-point", "The peer sent the tag of an item a second time.");
    }
    const sealed = columnOf(frame, size, width, bytes + sealBytes);
    const opened = await options.executor.open(
      gatherRecords(keys, 32, Uint32Array.from(matched)),
      gatherPayloads(sealed, bytes + sealBytes, Uint32Array.from(places)),
      bytes,
    );
    for (const [k, index] of matched.entries()) {
      found.set(index, opened.subarray(k * bytes, (k + 1) * bytes));
    }
    meter.add("match", to - from, m);
  }
  return found;
}

/** Tag and key of each item: different labels over the same two points. */
function derive(
  id: Uint8Array,
  points: Uint8Array,
  outputs: Uint8Array,
  width: number,
): { readonly tags: Uint8Array<ArrayBuffer>; readonly keys: Uint8Array<ArrayBuffer> } {
  const both = interleave(points, pointBytes, outputs, pointBytes);
  const prefix = (label: string): Uint8Array =>
    lengthPrefixed(label, id, new Uint8Array(2 * pointBytes)).subarray(0, -2 * pointBytes);
  return {
    tags: digestRecords(prefix(labels.psiOprfTag), both, 2 * pointBytes, width),
    keys: digestRecords(prefix(labels.psiOprfKey), both, 2 * pointBytes, 32),
  };
}

async function multiplyAll(
  run: RunBase,
  scalar: ScalarKey,
  points: Uint8Array,
  phase: "evaluate",
): Promise<Uint8Array<ArrayBuffer>> {
  const { options, meter, session } = run;
  const n = points.length / pointBytes;
  const out = new Uint8Array(points.length);
  meter.begin(phase, n);
  const products = mapInOrder(ranges(n), options.executor.parallelism, ([from, to]) =>
    options.executor.multiply(scalar, points.slice(from * pointBytes, to * pointBytes)),
  );
  let at = 0;
  await consume(session, products, (batch) => {
    out.set(batch, at);
    at += batch.length;
    meter.add(phase, batch.length / pointBytes, n);
  });
  return out;
}

/** The sender's answer, one point for each of ours, in our order. */
async function receiveEvaluated(run: RunBase, n: number): Promise<Uint8Array<ArrayBuffer>> {
  return await receiveRecords(run, "evaluated", n, pointBytes, (frame, first) =>
    requireHonest(frame, first),
  );
}

/** Records that make a frame of about 64 KiB. */
function recordsOfFrame(width: number, bytes: number): number {
  const size = width + bytes + sealBytes;
  return Math.max(1, Math.min(psiLimits.batchItems, Math.floor(65_536 / size)));
}

/** Payloads are longer than what {@link gatherRecords} takes natively. */
function gatherPayloads(payloads: Uint8Array, bytes: number, order: Uint32Array): Uint8Array {
  const out = new Uint8Array(order.length * bytes);
  for (let i = 0; i < order.length; i++) {
    const from = (order[i] as number) * bytes;
    out.set(payloads.subarray(from, from + bytes), i * bytes);
  }
  return out;
}

/** Records of `a` and `b` side by side. */
function interleave(
  a: Uint8Array,
  bytesA: number,
  b: Uint8Array,
  bytesB: number,
): Uint8Array<ArrayBuffer> {
  const n = a.length / bytesA;
  const out = new Uint8Array(a.length + b.length);
  for (let i = 0, at = 0; i < n; i++) {
    out.set(a.subarray(i * bytesA, (i + 1) * bytesA), at);
    out.set(b.subarray(i * bytesB, (i + 1) * bytesB), at + bytesA);
    at += bytesA + bytesB;
  }
  return out;
}

/** `bytes` bytes of every record, from `offset` on. */
function columnOf(
  records: Uint8Array,
  size: number,
  offset: number,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const n = records.length / size;
  const out = new Uint8Array(n * bytes);
  for (let i = 0; i < n; i++) {
    const from = i * size + offset;
    out.set(records.subarray(from, from + bytes), i * bytes);
  }
  return out;
}
