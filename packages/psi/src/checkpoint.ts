/**
 * Checkpoints: what lets a run go on after a crash of either side, sealed.
 *
 * A session is saved once, at the end of its first round, and never changed: scalar, permutation, the
 * peer's points, digests of configuration, input and first-round transcript. From then on everything
 * that the scalar is multiplied with is in that file. A host that puts back an old checkpoint makes the
 * same points be multiplied by the same scalar again, and no other. Before that moment the scalar is in
 * memory only, and a crash means a new session with a new one. Tags computed after it are kept in
 * segments, which save work and say nothing new.
 */
import { createHash } from "node:crypto";
import { readdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { decode, type Encodable, encode, labels, lengthPrefixed, toHex } from "@vivarium/core";
import { pointBytes, type ScalarKey, scalarFromBytes } from "@vivarium/curve25519";
import { type KeyWrapper, openSealedFileAt, sealFileAt } from "@vivarium/seal";
import type { PsiRole } from "./config.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";

/** A session at the end of its first round. */
export interface SavedSession {
  readonly role: PsiRole;
  /** SHA-256 of the configuration, and of the own keys in order. */
  readonly configDigest: Uint8Array;
  readonly inputDigest: Uint8Array;
  /** Session id. */
  readonly id: Uint8Array<ArrayBuffer>;
  readonly scalar: ScalarKey;
  /** Transcript of the first round: the same on both sides. */
  readonly roundOne: Uint8Array;
  /** The own permutation. */
  readonly order: Uint32Array;
  /** The peer's points, 32 bytes each. */
  readonly points: Uint8Array<ArrayBuffer>;
}

/** Where one side of one run keeps its checkpoint. */
export interface PsiCheckpoint {
  /** @throws PsiError `checkpoint` for one that is not whole or not ours. */
  load(): Promise<SavedSession | undefined>;
  save(session: SavedSession): Promise<void>;
  /** Tags of the peer's points from 0 on, as far as they are kept without a gap. */
  loadTags(id: Uint8Array, width: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Segment `index` of {@link psiLimits.segmentItems} tags. */
  saveTags(id: Uint8Array, width: number, index: number, tags: Uint8Array): Promise<void>;
  /** Removes it: when the result is safe, or the session cannot go on. */
  clear(): Promise<void>;
}

export interface SealedCheckpointOptions {
  /** An existing directory for this run alone. */
  readonly directory: string;
  /** Its key must outlive the process, and must not lie beside the files. */
  readonly wrapper: KeyWrapper;
}

const sessionFile = "session.sealed";
const sessionName = "psi session";
const type = "application/vnd.vivarium.psi-checkpoint";
const headerLimits = {
  maxBytes: 4_096,
  maxDepth: 2,
  maxArrayLength: 1,
  maxMapLength: 16,
  maxStringBytes: 64,
  maxBinaryBytes: 64,
  maxValues: 32,
};

/** Checkpoints as sealed files. */
export function sealedCheckpoint({ directory, wrapper }: SealedCheckpointOptions): PsiCheckpoint {
  const path = join(directory, sessionFile);
  const segment = (index: number): string => join(directory, `tags-${index}.sealed`);
  /** A segment of another session, width or place does not open. */
  const segmentName = (id: Uint8Array, width: number, index: number): string => {
    const digest = createHash("sha256").update(lengthPrefixed(labels.psiResume, id)).digest();
    return `psi tags ${toHex(new Uint8Array(digest))} ${width} ${index}`;
  };
  return {
    load: () => loadSession(path, wrapper),
    async save(session) {
      const header = headerOf(session);
      try {
        await sealFileAt(path, parts(header, session), {
          ...{ name: sessionName, version: 1, type, wrapper },
        });
      } finally {
        header.fill(0);
      }
    },
    async loadTags(id, width) {
      const segments: Uint8Array[] = [];
      const bytes = psiLimits.segmentItems * width;
      for (let index = 0; ; index++) {
        const name = segmentName(id, width, index);
        // A segment that is missing, of another session or not whole costs its work again, no more.
        const tags = await readWhole(segment(index), name, wrapper, bytes).catch(() => undefined);
        if (tags === undefined) break;
        segments.push(tags);
      }
      const all = new Uint8Array(segments.length * bytes);
      for (const [index, tags] of segments.entries()) all.set(tags, index * bytes);
      return all;
    },
    saveTags: (id, width, index, tags) =>
      sealFileAt(segment(index), tags, {
        ...{ name: segmentName(id, width, index), version: 1, type, wrapper },
      }),
    async clear() {
      const ours = /^(session|tags-\d+)\.sealed(\.new)?$/;
      // The session first: without it the segments are nothing.
      const names = (await readdir(directory)).filter((name) => ours.test(name)).sort();
      for (const name of names) await unlink(join(directory, name));
    },
  };
}

async function loadSession(path: string, wrapper: KeyWrapper): Promise<SavedSession | undefined> {
  try {
    await using file = await openSealedFileAt(path, {
      ...{ name: sessionName, type, minimumVersion: 1, wrapper },
    });
    const length = new DataView((await file.read(0, 4)).buffer).getUint32(0);
    if (length > headerLimits.maxBytes) throw unreadable();
    const header = await file.read(4, length);
    const { own, peer, ...rest } = readHeader(header);
    header.fill(0);
    const start = 4 + length;
    if (file.length !== start + 4 * own + pointBytes * peer) throw unreadable();
    const body = new Uint8Array(4 * own + pointBytes * peer);
    for (let at = 0; at < body.length; ) {
      const part = await file.read(start + at, Math.min(1 << 20, body.length - at));
      body.set(part, at);
      at += part.length;
    }
    return {
      ...rest,
      order: new Uint32Array(body.slice(0, 4 * own).buffer),
      points: body.slice(4 * own),
    };
  } catch (thrown) {
    const missing = (thrown as { cause?: { code?: string } }).cause?.code === "ENOENT";
    if (missing) return undefined;
    throw thrown instanceof PsiError ? thrown : unreadable(thrown);
  }
}

async function readWhole(
  path: string,
  name: string,
  wrapper: KeyWrapper,
  bytes: number,
): Promise<Uint8Array | undefined> {
  await using file = await openSealedFileAt(path, { name, type, minimumVersion: 1, wrapper });
  return file.length === bytes ? await file.read(0, bytes) : undefined;
}

function* parts(header: Uint8Array, { order, points }: SavedSession): Generator<Uint8Array> {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, header.length);
  yield length;
  yield header;
  yield new Uint8Array(order.buffer, order.byteOffset, order.byteLength);
  yield points;
}

function headerOf(session: SavedSession): Uint8Array {
  const { role, configDigest, inputDigest, id, scalar, roundOne, order, points } = session;
  const der = scalar.export({ format: "der", type: "pkcs8" });
  const bytes = new Uint8Array(der.subarray(der.length - 32));
  try {
    return encode({
      ...{ version: 1, role, configDigest, inputDigest, id, roundOne, scalar: bytes },
      own: order.length,
      peer: points.length / pointBytes,
    });
  } finally {
    der.fill(0);
    bytes.fill(0);
  }
}

type Header = Omit<SavedSession, "order" | "points"> & {
  readonly own: number;
  readonly peer: number;
};

/** The file is authentic; a field that is out of form comes from another version of this program. */
function readHeader(bytes: Uint8Array): Header {
  const header = decode(bytes, headerLimits) as Readonly<Record<string, Encodable>>;
  const digest = (name: string): Uint8Array<ArrayBuffer> => {
    const value = header[name];
    if (!(value instanceof Uint8Array) || value.length !== 32) throw unreadable();
    return new Uint8Array(value);
  };
  const count = (name: string): number => {
    const value = header[name];
    if (typeof value !== "number" || !(value >= 0 && value <= psiLimits.maxItems)) {
      throw unreadable();
    }
    return value;
  };
  const { role } = header;
  if (header["version"] !== 1 || (role !== "receiver" && role !== "sender")) throw unreadable();
  const scalar = digest("scalar");
  try {
    return {
      role,
      configDigest: digest("configDigest"),
      inputDigest: digest("inputDigest"),
      id: digest("id"),
      roundOne: digest("roundOne"),
      scalar: scalarFromBytes(scalar),
      own: count("own"),
      peer: count("peer"),
    };
  } finally {
    scalar.fill(0);
  }
}

function unreadable(cause?: unknown): PsiError {
  return new PsiError(
    "checkpoint",
    "The checkpoint cannot be opened: it was altered, or sealed under another key. Remove it to begin anew.",
    { cause },
  );
}
