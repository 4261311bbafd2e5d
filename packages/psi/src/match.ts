/** Matching of two lists of tags on typed arrays. */
import type { Random } from "@vivarium/core";
import { PsiError } from "./errors.ts";
import { RecordTable } from "./record-table.ts";

export interface Matches {
  readonly count: number;
  /** 1 at each position of the first list whose tag is in the second. */
  readonly left: Uint8Array<ArrayBuffer>;
  /** 1 at each position of the second list whose tag is in the first. */
  readonly right: Uint8Array<ArrayBuffer>;
}

/**
 * Compares whole tags. Each list is of distinct points, so a tag that occurs twice in one list is a
 * truncation that collided, or a lie: either would make the result inexact.
 * @throws PsiError `collision`.
 */
export function matchTags(
  left: Uint8Array,
  right: Uint8Array,
  width: number,
  random: Random,
): Matches {
  const table = distinct(left, width, random);
  const others = distinct(right, width, random);
  const n = table.size;
  const m = others.size;
  const marks = { left: new Uint8Array(n), right: new Uint8Array(m) };
  let count = 0;
  for (let j = 0; j < m; j++) {
    const i = table.find(right, j * width);
    if (i < 0) continue;
    marks.left[i] = 1;
    marks.right[j] = 1;
    count++;
  }
  return { count, ...marks };
}

function distinct(tags: Uint8Array, width: number, random: Random): RecordTable {
  const n = tags.length / width;
  const table = new RecordTable(width, random, n);
  for (let i = 0; i < n; i++) {
    if (table.add(tags, i * width) !== i) {
      throw new PsiError("collision", "Two different items have the same tag: run again.");
    }
  }
  return table;
}

/** @throws PsiError `duplicate-point` if a point occurs twice. */
export function requireDistinctPoints(points: Uint8Array, width: number, random: Random): void {
  const n = points.length / width;
  const table = new RecordTable(width, random, n);
  for (let i = 0; i < n; i++) {
    if (table.add(points, i * width) !== i) {
      throw new PsiError("duplicate-point", `The peer sent point ${i} a second time.`);
    }
  }
}
