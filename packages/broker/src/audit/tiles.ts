/**
 * Where hashes and entries of a log lie: the tiles of C2SP tlog-tiles, 256 hashes wide.
 *
 *     checkpoint                        the signed note
 *     tile/<level>/<index>[.p/<width>]  hashes of the subtrees of 256^level leaves
 *     tile/entries/<index>[.p/<width>]  (u16 length ‖ entry)*, big-endian
 *
 * @see https://c2sp.org/tlog-tiles
 */
import { concat } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { hashBytes, leafHash, nodeHash, type SubtreeReader } from "./tree.ts";

export const tileWidth = 256;
export const maxEntryBytes = 65_535;
export const checkpointPath = "checkpoint";

export interface Tile {
  /** 0 to 5, or that of the entries. */
  readonly level: number | "entries";
  readonly index: number;
  /** 1 to 256. */
  readonly width: number;
}

/** `tile/0/x001/234.p/5`. */
export function tilePath({ level, index, width }: Tile): string {
  const groups: string[] = [];
  let rest = index;
  do {
    groups.unshift(String(rest % 1000).padStart(3, "0"));
    rest = Math.floor(rest / 1000);
  } while (rest > 0);
  const last = groups.length - 1;
  const path = groups.map((group, i) => (i === last ? group : `x${group}`)).join("/");
  return `tile/${level}/${path}${width === tileWidth ? "" : `.p/${width}`}`;
}

/** All tiles of a log of this size, entries included, in order. */
export function* tilesOf(size: number): Generator<Tile> {
  yield* row("entries", size);
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / tileWidth)) {
    yield* row(level, count);
  }
}

function* row(level: Tile["level"], count: number): Generator<Tile> {
  const full = Math.floor(count / tileWidth);
  for (let index = 0; index < full; index++) yield { level, index, width: tileWidth };
  if (count % tileWidth > 0) yield { level, index: full, width: count % tileWidth };
}

/** The tile that holds hash `index` of a level, in a log of `size` entries. */
export function tileFor(level: number, index: number, size: number): Tile {
  const count = Math.floor(size / tileWidth ** level);
  const tile = Math.floor(index / tileWidth);
  return { level, index: tile, width: Math.min(tileWidth, count - tile * tileWidth) };
}

export type TileReader = (tile: Tile) => Promise<Uint8Array>;

/** Reads subtree hashes out of the tiles of a log of `size` entries. Tiles read once are kept. */
export function subtreeReader(readTile: TileReader, size: number): SubtreeReader {
  const known = new Map<string, Uint8Array>();
  return async (level, index) => {
    const tileLevel = Math.floor(level / 8);
    const leaves = 2 ** (level % 8);
    const tile = tileFor(tileLevel, index * leaves, size);
    const path = tilePath(tile);
    let bytes = known.get(path);
    if (bytes === undefined) {
      bytes = await readTile(tile);
      if (bytes.length !== tile.width * hashBytes) throw tampered(path, "has another length");
      if (known.size > 1024) known.clear();
      known.set(path, bytes);
    }
    const at = (index * leaves) % tileWidth;
    let row = Array.from({ length: leaves }, (_, i) =>
      (bytes as Uint8Array).subarray((at + i) * hashBytes, (at + i + 1) * hashBytes),
    );
    while (row.length > 1) {
      row = Array.from({ length: row.length / 2 }, (_, i) =>
        nodeHash(row[2 * i] as Uint8Array, row[2 * i + 1] as Uint8Array),
      );
    }
    return row[0] as Uint8Array;
  };
}

/** Hash of a full tile: one hash of the level above. */
export function tileHash(bytes: Uint8Array): Uint8Array {
  let row = Array.from({ length: bytes.length / hashBytes }, (_, i) =>
    bytes.subarray(i * hashBytes, (i + 1) * hashBytes),
  );
  while (row.length > 1) {
    row = Array.from({ length: row.length / 2 }, (_, i) =>
      nodeHash(row[2 * i] as Uint8Array, row[2 * i + 1] as Uint8Array),
    );
  }
  return row[0] as Uint8Array;
}

/** @throws BrokerError `limit-exceeded` for an entry that is empty or over 65,535 bytes. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  return concat(
    ...entries.flatMap((entry) => {
      requireEntry(entry);
      return [Uint8Array.of(entry.length >> 8, entry.length & 255), entry];
    }),
  );
}

export function requireEntry(entry: Uint8Array): void {
  if (entry.length === 0 || entry.length > maxEntryBytes) {
    throw new BrokerError("limit-exceeded", `An entry has 1 to ${maxEntryBytes} bytes.`);
  }
}

/** @throws BrokerError `tampered` unless the bytes are exactly `width` entries. */
export function decodeEntries(path: string, bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    const end = at + 2 + length;
    if (end > bytes.length || entries.length === width) break;
    entries.push(bytes.slice(at + 2, end));
    at = end;
  }
  if (at !== bytes.length || entries.length !== width) throw tampered(path, "is not whole");
  return entries;
}

/** @throws BrokerError `tampered` unless entries and their hashes agree. */
export function requireLeaves(
  path: string,
  entries: readonly Uint8Array[],
  tile: Uint8Array,
): void {
  entries.forEach((entry, i) => {
    const hash = leafHash(entry);
    const stored = tile.subarray(i * hashBytes, (i + 1) * hashBytes);
    if (stored.length !== hashBytes || hash.some((byte, j) => byte !== stored[j])) {
      throw tampered(path, `holds another entry at ${i} than was logged`);
    }
  });
}

export function tampered(path: string, what: string): BrokerError {
  return new BrokerError("tampered", `The audit log was changed: ${path} ${what}.`);
}
