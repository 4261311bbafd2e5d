/**
 * The audit log: entries that stay. An append has happened when it resolves: entries, hashes and a new
 * signed checkpoint are on disk by then. Appends that come while one is being written share the next.
 */
import { type Crypto, equalBytes, type Signer, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import {
  type Checkpoint,
  checkpointText,
  type NoteKey,
  noteKey,
  openCheckpoint,
  signNote,
} from "./note.ts";
import type { LogStore } from "./store.ts";
import {
  checkpointPath,
  decodeEntries,
  encodeEntries,
  requireEntry,
  requireLeaves,
  subtreeReader,
  type Tile,
  tampered,
  tileHash,
  tilePath,
  tileWidth,
} from "./tiles.ts";
import { emptyRoot, hashBytes, leafHash, treeHash } from "./tree.ts";

export interface AuditLogOptions {
  readonly store: LogStore;
  /** Origin of the checkpoints, and name of the key: `example.org/audit`. */
  readonly name: string;
  /** Ed25519. */
  readonly signer: Signer;
  readonly crypto: Crypto;
  /** True starts a log where there is none; false demands one, so that a lost log is not replaced by an empty one. */
  readonly create: boolean;
}

export interface Appended {
  readonly index: number;
  /** The checkpoint that covers it, as a signed note. */
  readonly checkpoint: Uint8Array;
}

export interface AuditLog extends AsyncDisposable {
  readonly key: NoteKey;
  /** Entries that are on disk. */
  readonly size: number;
  /** The newest checkpoint, as a signed note. */
  readonly checkpoint: Uint8Array;
  /**
   * @param entry 1 to 65,535 bytes.
   * @throws BrokerError `unavailable` if it cannot be stored: then it is not in the log.
   */
  append(entry: Uint8Array): Promise<Appended>;
  /** Adds cosignatures of the newest checkpoint; lines for another one are left out. */
  addCosignatures(size: number, lines: string): Promise<void>;
  close(): Promise<void>;
}

/** The right edge: all that an append needs to know of what is there. */
interface Edge {
  readonly size: number;
  readonly note: Uint8Array;
  /** Entries of the last bundle, if it is not full. */
  readonly entries: readonly Uint8Array[];
  /** Bytes of the last tile of each level, if it is not full. */
  readonly tiles: readonly Uint8Array[];
}

interface Waiting {
  readonly entry: Uint8Array;
  readonly done: (result: Appended) => void;
  readonly failed: (error: unknown) => void;
}

/** Most entries that one checkpoint takes in: bounds memory and the time of one write. */
const maxBatch = 1024;

/** @throws BrokerError `unavailable` without a log, `not-genuine` or `tampered`. */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { store, name, signer, crypto } = options;
  const key = noteKey("log", name, signer);

  const sign = async (size: number, root: Uint8Array): Promise<Uint8Array> => {
    const text = checkpointText(name, size, root);
    return utf8(`${text}\n${await signNote(text, name, signer)}`);
  };

  const load = async (): Promise<Edge> => {
    const note = await store.read(checkpointPath);
    if (note === undefined) {
      if (!options.create) {
        throw new BrokerError(
          "unavailable",
          "There is no audit log here; create it, or restore it.",
        );
      }
      // Tiles without a checkpoint: somebody took the checkpoint away to start anew.
      if ((await store.list()).some((path) => path.startsWith("tile/"))) {
        throw new BrokerError("tampered", "The audit log has entries and no checkpoint.");
      }
      const first = await sign(0, emptyRoot());
      await store.write(checkpointPath, first);
      return { size: 0, note: first, entries: [], tiles: [] };
    }
    const trust = { log: key, witnesses: [], quorum: 0 };
    return loadEdge(store, await openCheckpoint(crypto, note, trust), note);
  };

  let edge = await load();
  let stale = false;
  let closed = false;
  let waiting: Waiting[] = [];
  let running: Promise<void> | undefined;
  let turn: Promise<void> = Promise.resolve();

  /** Writers of this process go one after the other. */
  const exclusively = <T>(run: () => Promise<T>): Promise<T> => {
    const result = turn.then(run);
    turn = result.then(
      () => {},
      () => {},
    );
    return result;
  };

  const grow = async (batch: readonly Waiting[]): Promise<void> => {
    if (stale) edge = await load();
    const current = await store.read(checkpointPath);
    if (current === undefined || !equalBytes(current, edge.note)) {
      throw new BrokerError("in-use", "Somebody else has changed the audit log's checkpoint.");
    }
    // Whatever fails from here on may have left a part: what is on disk decides next time.
    stale = true;
    const next = await writeEntries(
      store,
      edge,
      batch.map(({ entry }) => entry),
      sign,
    );
    const before = edge;
    edge = next;
    stale = false;
    batch.forEach(({ done }, i) => {
      done({ index: before.size + i, checkpoint: next.note.slice() });
    });
    await removePartial(store, before, next);
  };

  const drain = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      try {
        await exclusively(() => grow(batch));
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    running = undefined;
  };

  const requireOpen = (): void => {
    if (closed) throw new BrokerError("closed", "The audit log has been closed.");
  };

  const close = async (): Promise<void> => {
    closed = true;
    await running;
    await turn;
  };

  return {
    key,
    get size() {
      return edge.size;
    },
    get checkpoint() {
      return edge.note.slice();
    },
    append: async (entry) => {
      requireOpen();
      requireEntry(entry);
      return await new Promise<Appended>((done, failed) => {
        waiting.push({ entry: entry.slice(), done, failed });
        running ??= drain();
      });
    },
    addCosignatures: async (size, lines) => {
      requireOpen();
      await exclusively(async () => {
        if (stale) edge = await load();
        if (size !== edge.size || lines === "") return;
        const known = Buffer.from(edge.note).toString("utf8");
        const fresh = lines
          .split("\n")
          .filter((line) => line.startsWith("\u2014 ") && !known.includes(`\n${line}\n`))
          .map((line) => `${line}\n`)
          .join("");
        if (fresh === "") return;
        const note = utf8(`${known}${fresh}`);
        stale = true;
        await store.write(checkpointPath, note);
        edge = { ...edge, note };
        stale = false;
      });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** @throws BrokerError `tampered` if the right edge is not the checkpoint's. */
async function loadEdge(store: LogStore, checkpoint: Checkpoint, note: Uint8Array): Promise<Edge> {
  const { size, root } = checkpoint;
  const need = async (tile: Tile): Promise<Uint8Array> => {
    const bytes = await store.read(tilePath(tile));
    if (bytes === undefined) throw tampered(tilePath(tile), "is missing");
    return bytes;
  };
  const found = await treeHash(subtreeReader(need, size), size);
  if (!equalBytes(found, root)) throw tampered(checkpointPath, "has another root than the tiles");
  const tiles: Uint8Array[] = [];
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / tileWidth)) {
    const width = count % tileWidth;
    const index = Math.floor(count / tileWidth);
    tiles.push(width === 0 ? new Uint8Array(0) : await need({ level, index, width }));
  }
  const width = size % tileWidth;
  if (width === 0) return { size, note, entries: [], tiles };
  const bundle: Tile = { level: "entries", index: Math.floor(size / tileWidth), width };
  const entries = decodeEntries(tilePath(bundle), await need(bundle), width);
  requireLeaves(tilePath(bundle), entries, tiles[0] as Uint8Array);
  return { size, note, entries, tiles };
}

async function writeEntries(
  store: LogStore,
  edge: Edge,
  added: readonly Uint8Array[],
  sign: (size: number, root: Uint8Array) => Promise<Uint8Array>,
): Promise<Edge> {
  const size = edge.size + added.length;
  const all = [...edge.entries, ...added];
  const first = Math.floor(edge.size / tileWidth);
  let entries: readonly Uint8Array[] = [];
  for (let i = 0; i * tileWidth < all.length; i++) {
    const part = all.slice(i * tileWidth, (i + 1) * tileWidth);
    const tile: Tile = { level: "entries", index: first + i, width: part.length };
    await store.write(tilePath(tile), encodeEntries(part));
    entries = part.length === tileWidth ? [] : part;
  }
  const tiles: Uint8Array[] = [];
  const written = new Map<string, Uint8Array>();
  let hashes = added.map(leafHash);
  for (let level = 0; level === 0 || hashes.length > 0 || level < edge.tiles.length; level++) {
    const before = edge.tiles[level] ?? new Uint8Array(0);
    const row = Buffer.concat([before, ...hashes]);
    const count = Math.floor(edge.size / tileWidth ** level);
    const index = Math.floor(count / tileWidth);
    const up: Uint8Array[] = [];
    let rest: Uint8Array = new Uint8Array(before);
    for (let i = 0; i * tileWidth * hashBytes < row.length && hashes.length > 0; i++) {
      const at = i * tileWidth * hashBytes;
      const bytes = new Uint8Array(row.subarray(at, at + tileWidth * hashBytes));
      const width = bytes.length / hashBytes;
      const path = tilePath({ level, index: index + i, width });
      await store.write(path, bytes);
      written.set(path, bytes);
      rest = width === tileWidth ? new Uint8Array(0) : bytes;
      if (width === tileWidth) up.push(tileHash(bytes));
    }
    tiles.push(rest);
    hashes = up;
  }
  const read = subtreeReader(async (tile) => {
    const bytes = written.get(tilePath(tile)) ?? (await store.read(tilePath(tile)));
    if (bytes === undefined) throw tampered(tilePath(tile), "is missing");
    return bytes;
  }, size);
  const note = await sign(size, await treeHash(read, size));
  await store.write(checkpointPath, note);
  return { size, note, entries, tiles };
}

/** Partial tiles that fuller ones have replaced. A crash before this leaves them, which harms nothing. */
async function removePartial(store: LogStore, before: Edge, after: Edge): Promise<void> {
  const rows: (readonly [Tile["level"], number])[] = [["entries", 0]];
  before.tiles.forEach((_, level) => {
    rows.push([level, level]);
  });
  for (const [level, height] of rows) {
    const count = Math.floor(before.size / tileWidth ** height);
    const width = count % tileWidth;
    if (width === 0 || Math.floor(after.size / tileWidth ** height) === count) continue;
    const index = Math.floor(count / tileWidth);
    await store.remove(tilePath({ level, index, width })).catch(() => {});
  }
}
