/** Matching of two lists of tags on typed arrays. */
import type { Random } from "@vivarium/core";
import { noRecord, RecordList } from "@vivarium/curve25519";
import { PsiError } from "./errors.ts";

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
  const list = distinct(left, width, random);
  const others = distinct(right, width, random);
  const marks = { left: new Uint8Array(list.size), right: new Uint8Array(others.size) };
  let count = 0;
  const found = list.find(right);
  for (let j = 0; j < found.length; j++) {
    const i = found[j] as number;
    if (i === noRecord) continue;
    marks.left[i] = 1;
    marks.right[j] = 1;
    count++;
  }
  return { count, ...marks };
}

function distinct(tags: Uint8Array, width: number, random: Random): RecordList {
  const list = new RecordList(tags, width, random);
  if (list.repeated >= 0) {
    throw new PsiError("collision", "Two different items have the same tag: run again.");
  }
  return list;
}

/** @throws PsiError `duplicate-point` if a point occurs twice. */
export function requireDistinctPoints(points: Uint8Array, width: number, random: Random): void {
  const { repeated } = new RecordList(points, width, random);
  if (repeated >= 0) {
    throw new PsiError("duplicate-point", `The peer sent point ${repeated} a second time.`);
  }
}
