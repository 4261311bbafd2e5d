/** The receiver's rounds: it sends A = {[a]H(x)}, learns {[ab]H(x)} and makes {[ab]H(y)}. */
import { encode } from "@vivarium/core";
import { toBitmap } from "./bitmap.ts";
import type { DistinctRecords } from "./dedup.ts";
import { psiLimits } from "./limits.ts";
import { matchTags } from "./match.ts";
import { evaluate, firstRound, type Run, ranges, receiveRecords } from "./rounds.ts";
import { tagBytes } from "./truncate.ts";

/** What a role hands to the end of the run. */
export interface Outcome {
  readonly matches: number | undefined;
  /** 1 for each distinct own item that matched; absent where this side is not to know. */
  readonly marked: Uint8Array<ArrayBuffer> | undefined;
}

export async function receive(run: Run, own: DistinctRecords, m: number): Promise<Outcome> {
  const { session, options, meter } = run;
  const { mode, resultTo } = options.config;
  const n = own.size;
  const width = tagBytes(n, m);
  const { order, theirs } = await firstRound(run, own, m);
  const theirTags = new Uint8Array(m * width);
  const [ownTags] = await Promise.all([
    receiveRecords(run, "tags", n, width),
    evaluate(run, theirs, width, (tags, first) => theirTags.set(tags, first * width)),
  ]);
  meter.begin("match", n);
  const found = matchTags(ownTags, theirTags, width, options.random);
  meter.add("match", n, n);
  if (resultTo === "both" && mode === "cardinality") {
    await session.send("count", encode({ matches: found.count }));
  } else if (resultTo === "both") {
    const bitmap = toBitmap(found.right);
    for (const [from, to] of ranges(bitmap.length, psiLimits.bitmapFrameBytes)) {
      await session.send("bitmap", bitmap.subarray(from, to));
    }
  }
  if (mode === "cardinality") return { matches: found.count, marked: undefined };
  const marked = new Uint8Array(n);
  for (let i = 0; i < n; i++) marked[order[i] as number] = found.left[i] as number;
  return { matches: found.count, marked };
}
