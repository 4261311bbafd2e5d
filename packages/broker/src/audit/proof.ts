/**
 * Proofs that somebody else can check offline: C2SP tlog-proof, the entry in its `extra` line.
 *
 *     c2sp.org/tlog-proof@v1
 *     extra <base64 of the entry>
 *     index <n>
 *     <base64 hash>*
 *
 *     <checkpoint>
 */
import { type Crypto, fromUtf8, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { type Checkpoint, fromBase64, openCheckpoint, type Trust } from "./note.ts";
import { hashBytes, leafHash, maxProofHashes, verifyInclusion } from "./tree.ts";

const head = "c2sp.org/tlog-proof@v1";
export const maxProofBytes: number = 256 * 1024;

export interface ProvenEntry {
  readonly entry: Uint8Array;
  readonly index: number;
  readonly checkpoint: Checkpoint;
}

export function encodeProof(
  entry: Uint8Array,
  index: number,
  hashes: readonly Uint8Array[],
  checkpoint: Uint8Array,
): Uint8Array {
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  const lines = [head, `extra ${base64(entry)}`, `index ${index}`, ...hashes.map(base64)];
  return utf8(`${lines.join("\n")}\n\n${fromUtf8(checkpoint)}`);
}

/** @throws BrokerError `malformed`, `not-genuine` or `tampered`. */
export async function verifyProof(
  crypto: Crypto,
  bytes: Uint8Array,
  trust: Trust,
): Promise<ProvenEntry> {
  if (bytes.length > maxProofBytes) {
    throw new BrokerError("limit-exceeded", `A proof has at most ${maxProofBytes} bytes.`);
  }
  const text = textOf(bytes);
  const end = text.indexOf("\n\n");
  const [first, extra = "", place = "", ...rest] = text.slice(0, Math.max(0, end)).split("\n");
  const entry = extra.startsWith("extra ") ? fromBase64(extra.slice(6)) : undefined;
  const digits = /^index (0|[1-9]\d{0,15})$/.exec(place)?.[1];
  const hashes = rest.map((line) => fromBase64(line));
  const whole = hashes.every((hash) => hash?.length === hashBytes);
  if (first !== head || entry === undefined || digits === undefined || !whole) {
    throw new BrokerError("malformed", "The file is not a proof of an audit log's entry.");
  }
  if (hashes.length > maxProofHashes) {
    throw new BrokerError("limit-exceeded", `A proof has at most ${maxProofHashes} hashes.`);
  }
  const checkpoint = await openCheckpoint(crypto, utf8(text.slice(end + 2)), trust);
  const index = Number(digits);
  const { size, root } = checkpoint;
  if (!verifyInclusion(leafHash(entry), index, size, hashes as Uint8Array[], root)) {
    throw new BrokerError("tampered", "The entry does not stand in the log at that place.");
  }
  return { entry, index, checkpoint };
}

function textOf(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch (cause) {
    throw new BrokerError("malformed", "The proof is not text.", { cause });
  }
}
