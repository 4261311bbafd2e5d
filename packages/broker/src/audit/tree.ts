/**
 * Merkle trees of RFC 6962, section 2: hashes, and proofs that are verified without the tree. The
 * verifiers follow RFC 9162, sections 2.1.3.2 and 2.1.4.2.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "@vivarium/core";
import { BrokerError } from "../errors.ts";

export const hashBytes = 32;
/** Trees are addressed by safe integers; a proof of one has fewer hashes than this. */
export const maxProofHashes = 63;

/** RFC 6962: leaves and nodes are hashed apart, so that no node passes for an entry. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(Uint8Array.of(0)).update(entry).digest());
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update(Uint8Array.of(1)).update(left).update(right);
  return new Uint8Array(hash.digest());
}

/** Hash of the tree without entries. */
export function emptyRoot(): Uint8Array {
  return new Uint8Array(createHash("sha256").digest());
}

/** Largest power of two below `n`, for `n` of 2 and more. */
export function splitOf(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** Hash of the whole subtree of `2^level` leaves from `index * 2^level`. */
export type SubtreeReader = (level: number, index: number) => Promise<Uint8Array>;

/** Hash over the leaves `[start, end)`; `start` must be where a subtree of that size may begin. */
export async function rangeHash(
  read: SubtreeReader,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const size = end - start;
  const level = Math.log2(size);
  if (Number.isInteger(level) && start % size === 0) return read(level, start / size);
  const split = splitOf(size);
  return nodeHash(
    await rangeHash(read, start, start + split),
    await rangeHash(read, start + split, end),
  );
}

export async function treeHash(read: SubtreeReader, size: number): Promise<Uint8Array> {
  return size === 0 ? emptyRoot() : rangeHash(read, 0, size);
}

/** Audit path of RFC 6962, section 2.1.1, from the leaf's sibling up. */
export async function inclusionProof(
  read: SubtreeReader,
  index: number,
  size: number,
): Promise<readonly Uint8Array[]> {
  requireSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new BrokerError("invalid-argument", `The log has no entry ${index} among ${size}.`);
  }
  const path = async (start: number, end: number): Promise<Uint8Array[]> => {
    if (end - start === 1) return [];
    const middle = start + splitOf(end - start);
    return index < middle
      ? [...(await path(start, middle)), await rangeHash(read, middle, end)]
      : [...(await path(middle, end)), await rangeHash(read, start, middle)];
  };
  return path(0, size);
}

/** Consistency proof of RFC 6962, section 2.1.2; empty between equal sizes, and from nothing. */
export async function consistencyProof(
  read: SubtreeReader,
  old: number,
  size: number,
): Promise<readonly Uint8Array[]> {
  requireSize(size);
  if (!Number.isSafeInteger(old) || old < 0 || old > size) {
    throw new BrokerError("invalid-argument", `A log of ${size} entries never had ${old}.`);
  }
  if (old === 0 || old === size) return [];
  const proof = async (start: number, end: number, whole: boolean): Promise<Uint8Array[]> => {
    if (old === end) return whole ? [] : [await rangeHash(read, start, end)];
    const middle = start + splitOf(end - start);
    return old <= middle
      ? [...(await proof(start, middle, whole)), await rangeHash(read, middle, end)]
      : [...(await proof(middle, end, false)), await rangeHash(read, start, middle)];
  };
  return proof(0, size, true);
}

/** Whether the entry with this leaf hash stands at `index` of the tree of `size` entries with `root`. */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!inRange(index, size) || index >= size || proof.length > maxProofHashes) return false;
  let [fn, sn] = [BigInt(index), BigInt(size - 1)];
  let hash = leaf;
  for (const next of proof) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      hash = nodeHash(next, hash);
      while (fn % 2n === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      hash = nodeHash(hash, next);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && equalBytes(hash, root);
}

/** Whether the tree of `size` entries with `root` begins with all of the one of `old` entries. */
export function verifyConsistency(
  old: number,
  size: number,
  proof: readonly Uint8Array[],
  oldRoot: Uint8Array,
  root: Uint8Array,
): boolean {
  if (!inRange(old, size) || old > size || proof.length > maxProofHashes) return false;
  if (old === size) return proof.length === 0 && equalBytes(oldRoot, root);
  if (old === 0) return proof.length === 0 && equalBytes(oldRoot, emptyRoot());
  const path = [...proof];
  let [fn, sn] = [BigInt(old - 1), BigInt(size - 1)];
  while (fn % 2n === 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  // The old tree may be one whole subtree, whose hash the proof then leaves out.
  const first = fn === 0n ? oldRoot : path.shift();
  if (first === undefined || path.length === 0) return false;
  let [before, now] = [first, first];
  for (const next of path) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      before = nodeHash(next, before);
      now = nodeHash(next, now);
      while (fn % 2n === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      now = nodeHash(now, next);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && equalBytes(before, oldRoot) && equalBytes(now, root);
}

function inRange(value: number, size: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && Number.isSafeInteger(size) && size >= 0;
}

function requireSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new BrokerError("invalid-argument", `A log cannot have ${size} entries.`);
  }
}
