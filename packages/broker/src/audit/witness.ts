/**
 * A witness remembers the newest checkpoint of each log and cosigns only what grew out of it: whoever
 * demands its cosignature cannot be shown another history (C2SP tlog-witness).
 */
import { type Clock, type Crypto, fromUtf8, type Signer, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import {
  cosign,
  fromBase64,
  type NoteKey,
  noteKey,
  openCheckpoint,
  parseCheckpoint,
} from "./note.ts";
import type { LogStore } from "./store.ts";
import { emptyRoot, hashBytes, maxProofHashes, verifyConsistency } from "./tree.ts";

export interface WitnessOptions {
  /** What it remembers; one file for each log. */
  readonly store: LogStore;
  readonly name: string;
  /** Ed25519, of this witness alone. */
  readonly signer: Signer;
  /** Logs it knows. */
  readonly logs: readonly NoteKey[];
  readonly crypto: Crypto;
  readonly clock: Clock;
}

/** An answer of tlog-witness, as its HTTP status and body. */
export interface WitnessAnswer {
  /** 200 cosigned; 400 malformed; 403 not signed by the log; 404 unknown log; 409 another size or root; 422 no proof. */
  readonly status: 200 | 400 | 403 | 404 | 409 | 422;
  readonly body: string;
}

export interface Witness {
  readonly key: NoteKey;
  /** One `add-checkpoint` request. Never throws for what is in it. @throws BrokerError `unavailable`. */
  addCheckpoint(request: Uint8Array): Promise<WitnessAnswer>;
}

const maxRequestBytes = 128 * 1024;

export function createWitness(options: WitnessOptions): Witness {
  const { store, name, signer, logs, crypto, clock } = options;
  const key = noteKey("witness", name, signer);
  let turn: Promise<unknown> = Promise.resolve();

  const decide = async (bytes: Uint8Array): Promise<WitnessAnswer> => {
    const request = parseRequest(bytes);
    if (request === undefined) return { status: 400, body: "" };
    const log = logs.find(({ name: origin }) => origin === request.origin);
    if (log === undefined) return { status: 404, body: "" };
    const trust = { log, witnesses: [], quorum: 0 };
    const checkpoint = await openCheckpoint(crypto, request.note, trust).catch((error: unknown) => {
      if (error instanceof BrokerError) return undefined;
      throw error;
    });
    if (checkpoint === undefined) return { status: 403, body: "" };
    if (request.old > checkpoint.size) return { status: 400, body: "" };
    const path = Buffer.from(log.name).toString("hex");
    const stored = await store.read(path);
    // Our own record: if it does not verify, nothing may be cosigned on its strength.
    const latest =
      stored === undefined
        ? { size: 0, root: emptyRoot() }
        : await openCheckpoint(crypto, stored, trust);
    if (request.old !== latest.size) return { status: 409, body: `${latest.size}\n` };
    const { size, root } = checkpoint;
    if (!verifyConsistency(latest.size, size, request.proof, latest.root, root)) {
      return latest.size === size
        ? { status: 409, body: `${latest.size}\n` }
        : { status: 422, body: "" };
    }
    // Before the answer: a witness that forgets would cosign two histories.
    await store.write(path, request.note);
    const seconds = Math.floor(clock.now() / 1000);
    return { status: 200, body: await cosign(checkpoint.text, name, signer, seconds) };
  };

  return {
    key,
    addCheckpoint: (request) => {
      const answer = turn.then(() => decide(request));
      turn = answer.catch(() => {});
      return answer;
    },
  };
}

interface Request {
  readonly old: number;
  readonly proof: readonly Uint8Array[];
  readonly origin: string;
  readonly note: Uint8Array;
}

function parseRequest(bytes: Uint8Array): Request | undefined {
  if (bytes.length > maxRequestBytes) return undefined;
  try {
    const text = fromUtf8(bytes);
    const end = text.indexOf("\n\n");
    const [first = "", ...lines] = text.slice(0, Math.max(end, 0)).split("\n");
    const digits = /^old (0|[1-9]\d{0,15})$/.exec(first)?.[1];
    const proof = lines.map((line) => fromBase64(line));
    if (digits === undefined || lines.length > maxProofHashes) return undefined;
    if (!proof.every((hash): hash is Uint8Array => hash?.length === hashBytes)) return undefined;
    const note = utf8(text.slice(end + 2));
    return { old: Number(digits), proof, origin: parseCheckpoint(note).origin, note };
  } catch {
    return undefined;
  }
}

/** The body of an `add-checkpoint` request. */
export function encodeWitnessRequest(
  old: number,
  proof: readonly Uint8Array[],
  note: Uint8Array,
): Uint8Array {
  const hashes = proof.map((hash) => `${Buffer.from(hash).toString("base64")}\n`);
  return utf8(`old ${old}\n${hashes.join("")}\n${fromUtf8(note)}`);
}
