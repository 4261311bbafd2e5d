/** Reading and verifying a log: needs the key, and trusts nothing in the store. */
import { type Crypto, equalBytes } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { type Checkpoint, openCheckpoint, type Trust } from "./note.ts";
import { encodeProof } from "./proof.ts";
import type { LogStore } from "./store.ts";
import {
  checkpointPath,
  decodeEntries,
  requireLeaves,
  subtreeReader,
  type Tile,
  tampered,
  tileHash,
  tilePath,
  tilesOf,
  tileWidth,
} from "./tiles.ts";
import {
  consistencyProof,
  hashBytes,
  inclusionProof,
  nodeHash,
  type SubtreeReader,
  treeHash,
  verifyConsistency,
} from "./tree.ts";

export interface LogReader {
  readonly checkpoint: Checkpoint;
  /** The signed note. */
  readonly note: Uint8Array;
  /** Entries `[from, to)`, each held against its hash. */
  entries(from: number, to: number): AsyncGenerator<{ index: number; entry: Uint8Array }>;
  /** A proof of one entry that stands by itself. */
  prove(index: number): Promise<Uint8Array>;
  /** Hashes that lead from an older size to this one. */
  consistency(old: number): Promise<readonly Uint8Array[]>;
  /** That this log grew out of an older checkpoint of the same key. @throws BrokerError `forked`. */
  requireGrownFrom(older: Uint8Array): Promise<Checkpoint>;
  /**
   * Every byte: each entry, each hash, the root. @returns files that are no part of the log, such as
   * what a crash has left; they are not believed, and may be removed.
   * @throws BrokerError `tampered`.
   */
  verifyAll(): Promise<{ readonly strangers: readonly string[] }>;
}

/** @throws BrokerError `unavailable`, `malformed` or `not-genuine`. */
export async function openLogReader(options: {
  readonly store: LogStore;
  readonly trust: Trust;
  readonly crypto: Crypto;
}): Promise<LogReader> {
  const { store, trust, crypto } = options;
  const note = await store.read(checkpointPath);
  if (note === undefined) throw new BrokerError("unavailable", "There is no audit log here.");
  const checkpoint = await openCheckpoint(crypto, note, trust);
  const { size, root } = checkpoint;
  const need = async (tile: Tile): Promise<Uint8Array> => {
    const bytes = await store.read(tilePath(tile));
    if (bytes === undefined) throw tampered(tilePath(tile), "is missing");
    return bytes;
  };
  const subtrees = subtreeReader(need, size);
  // One reading of the root proves every hash on the way; proofs verify themselves.
  if (!equalBytes(await treeHash(subtrees, size), root)) {
    throw tampered(checkpointPath, "has another root than the tiles");
  }
  const bundle = async (index: number): Promise<Uint8Array[]> => {
    const width = Math.min(tileWidth, size - index * tileWidth);
    const tile: Tile = { level: "entries", index, width };
    const entries = decodeEntries(tilePath(tile), await need(tile), width);
    requireLeaves(tilePath(tile), entries, await need({ level: 0, index, width }));
    return entries;
  };
  return {
    checkpoint,
    note,
    async *entries(from, to) {
      for (let index = from; index < Math.min(to, size); ) {
        const all = await bundle(Math.floor(index / tileWidth));
        for (let i = index % tileWidth; i < all.length && index < Math.min(to, size); i++) {
          yield { index: index++, entry: all[i] as Uint8Array };
        }
      }
    },
    async prove(index) {
      const hashes = await inclusionProof(subtrees, index, size);
      const entry = (await bundle(Math.floor(index / tileWidth)))[index % tileWidth];
      return encodeProof(entry as Uint8Array, index, hashes, note);
    },
    consistency: (old) => consistencyProof(subtrees, old, size),
    async requireGrownFrom(older) {
      const before = await openCheckpoint(crypto, older, { ...trust, witnesses: [], quorum: 0 });
      const grown =
        before.size <= size &&
        verifyConsistency(
          before.size,
          size,
          await consistencyProof(subtrees, before.size, size),
          before.root,
          root,
        );
      if (!grown) {
        throw new BrokerError(
          "forked",
          `The log of ${size} entries does not continue the checkpoint of ${before.size}: it was set back, or has two histories.`,
        );
      }
      return before;
    },
    async verifyAll() {
      const own = new Set<string>([checkpointPath, "lock", "origin"]);
      for (const tile of tilesOf(size)) {
        own.add(tilePath(tile));
        if (tile.level === "entries") await bundle(tile.index);
        else await verifyTile(need, { ...tile, level: tile.level });
      }
      // Again from the leaves up, and not from what upper tiles say.
      if (!equalBytes(await treeHash(leafReader(subtrees), size), root)) {
        throw tampered(checkpointPath, "has another root than the entries");
      }
      return { strangers: (await store.list()).filter((path) => !own.has(path)) };
    },
  };
}

/** Each hash of an upper level is that of a full tile below; level 0 is held against the entries. */
async function verifyTile(
  need: (tile: Tile) => Promise<Uint8Array>,
  tile: Tile & { readonly level: number },
): Promise<void> {
  const bytes = await need(tile);
  const path = tilePath(tile);
  if (bytes.length !== tile.width * hashBytes) throw tampered(path, "has another length");
  if (tile.level === 0) return;
  for (let i = 0; i < tile.width; i++) {
    const index = tile.index * tileWidth + i;
    const below = tileHash(await need({ level: tile.level - 1, index, width: tileWidth }));
    if (!equalBytes(below, bytes.subarray(i * hashBytes, (i + 1) * hashBytes))) {
      throw tampered(path, `has another hash at ${i}`);
    }
  }
}

/** Subtree hashes from level 0 alone. */
function leafReader(read: SubtreeReader): SubtreeReader {
  const all: SubtreeReader = async (level, index) =>
    level < 8
      ? read(level, index)
      : nodeHash(await all(level - 1, 2 * index), await all(level - 1, 2 * index + 1));
  return all;
}
