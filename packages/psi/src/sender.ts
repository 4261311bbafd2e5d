/** The sender's rounds: it sends B = {[b]H(y)} permuted, and the receiver's points as tags. */

import { gatherRecords } from "@vivarium/curve25519";
import { fromBitmap } from "./bitmap.ts";
import { readControl, readCount } from "./control.ts";
import type { DistinctRecords } from "./dedup.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { Outcome } from "./receiver.ts";
import { evaluate, firstRound, type Run, type RunBase, ranges, sendRecords } from "./rounds.ts";
import { randomPermutation } from "./shuffle.ts";
import { tagBytes } from "./truncate.ts";

export async function send(run: Run, own: DistinctRecords, n: number): Promise<Outcome> {
  const { session, options } = run;
  const m = own.size;
  const width = tagBytes(n, m);
  // No tag leaves before all points of the receiver have been seen and checked.
  const { order, theirs } = await firstRound(run, own, n);
  if (options.config.mode === "intersection") {
    await evaluate(run, theirs, width, (tags) => session.send("tags", tags));
  } else {
    const tags = new Uint8Array(n * width);
    await evaluate(run, theirs, width, (batch, first) => tags.set(batch, first * width));
    // Without this the receiver would know which of its items each tag belongs to.
    const shuffled = gatherRecords(tags, width, randomPermutation(n, options.random));
    await sendRecords(run, "tags", shuffled, width);
  }
  return receiveResult(run, order, Math.min(n, m));
}

/** With `resultTo: both`, what the receiver says. */
export async function receiveResult(
  run: RunBase,
  order: Uint32Array,
  most: number,
): Promise<Outcome> {
  const { session, options } = run;
  const { mode, resultTo } = options.config;
  if (resultTo === "receiver") return { matches: undefined, marked: undefined };
  if (mode === "cardinality") {
    const frame = await session.receive("count", psiLimits.maxControlBytes);
    const matches = readCount(readControl(frame, "count", ["matches"])["matches"], "count");
    requirePossible(matches, most);
    return { matches, marked: undefined };
  }
  const m = order.length;
  const bitmap = new Uint8Array(Math.ceil(m / 8));
  for (const [from, to] of ranges(bitmap.length, psiLimits.bitmapFrameBytes)) {
    const frame = await session.receive("bitmap", to - from);
    if (frame.length !== to - from) {
      throw new PsiError("protocol", "The peer's result bitmap does not fit the set.");
    }
    bitmap.set(frame, from);
  }
  const bits = fromBitmap(bitmap, m);
  const marked = new Uint8Array(m);
  let matches = 0;
  for (let j = 0; j < m; j++) {
    marked[order[j] as number] = bits[j] as number;
    matches += bits[j] as number;
  }
  requirePossible(matches, most);
  return { matches, marked };
}

function requirePossible(matches: number, most: number): void {
  if (matches > most) {
    throw new PsiError("protocol", `The peer claims ${matches} matches; ${most} are possible.`);
  }
}
