/**
 * A sealed update: encrypted under a fresh key that its participant keeps until the aggregator has
 * committed to the set of updates that the round is made of. An aggregator that was set back can then
 * not compute the round again with one update less, and subtract.
 */
import { createCipheriv, createDecipheriv } from "node:crypto";
import {
  type Crypto,
  concat,
  decode,
  type Encodable,
  encode,
  labels,
  lengthPrefixed,
  toHex,
  u32,
} from "@vivarium/core";
import { bytesOfFloats } from "@vivarium/tensors";
import { FederatedError } from "./errors.ts";

/** What an update says in clear to the attested aggregator; part of its digest. */
export interface UpdateHeader {
  /** Run id, digest of the round's first parameters, digest of the plan: hexadecimal. */
  readonly run: string;
  readonly round: number;
  readonly base: string;
  readonly plan: string;
  readonly examples: number;
  readonly steps: number;
  readonly loss: number;
  /** Parameters of the model. */
  readonly size: number;
  /** Vectors in the ciphertext: the change of the parameters, and of the control variate. */
  readonly vectors: 1 | 2;
}

/** Plaintext bytes of one sealed piece. A multiple of four. */
export const pieceBytes: number = 256 * 1024;
export const tagBytes = 16;
export const keyBytes = 32;

const nonceOf = (index: number): Uint8Array => concat(new Uint8Array(8), u32(index));

/** Plaintext in order, in pieces. */
export function* piecesOf(vectors: readonly Float32Array[]): Generator<Uint8Array> {
  for (const vector of vectors) {
    const bytes = bytesOfFloats(vector);
    for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
  }
}

/** Each piece under its own tag, with the header and its place bound to it. The key is used once. */
export function sealPieces(
  key: Uint8Array,
  header: Uint8Array,
  vectors: readonly Float32Array[],
): Uint8Array[] {
  let index = 0;
  const sealed: Uint8Array[] = [];
  for (const piece of piecesOf(vectors)) {
    const cipher = createCipheriv("aes-256-gcm", key, nonceOf(index));
    cipher.setAAD(lengthPrefixed(labels.federatedUpdate, header, u32(index)));
    sealed.push(concat(cipher.update(piece), cipher.final(), cipher.getAuthTag()));
    index++;
  }
  return sealed;
}

/** @throws FederatedError `bad-update` for a piece that was not sealed so. */
export function openPiece(
  key: Uint8Array,
  header: Uint8Array,
  index: number,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const end = sealed.length - tagBytes;
  if (end < 0) throw new FederatedError("bad-update", "A piece of an update is cut short.");
  const decipher = createDecipheriv("aes-256-gcm", key, nonceOf(index), {
    authTagLength: tagBytes,
  });
  decipher.setAAD(lengthPrefixed(labels.federatedUpdate, header, u32(index)));
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return concat(decipher.update(sealed.subarray(0, end)), decipher.final());
  } catch (cause) {
    throw new FederatedError("bad-update", "An update does not open with its key.", { cause });
  }
}

/** Sealed bytes of one piece and how many there are, from the header. */
export function pieceCount({ size, vectors }: Pick<UpdateHeader, "size" | "vectors">): number {
  return vectors * Math.ceil((4 * size) / pieceBytes);
}

/** Bytes of the sealed piece at an index. */
export function sealedPieceBytes({ size }: Pick<UpdateHeader, "size">, index: number): number {
  const each = Math.ceil((4 * size) / pieceBytes);
  const last = index % each === each - 1;
  return (last ? 4 * size - (each - 1) * pieceBytes : pieceBytes) + tagBytes;
}

export function encodeHeader(header: UpdateHeader): Uint8Array<ArrayBuffer> {
  return encode({ ...header });
}

/** @throws FederatedError `bad-update`. */
export function decodeHeader(bytes: Uint8Array): UpdateHeader {
  let value: Encodable;
  try {
    value = decode(bytes);
  } catch (cause) {
    throw new FederatedError("bad-update", "The header of an update cannot be read.", { cause });
  }
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  const fields = (isMap ? value : {}) as Readonly<Record<string, Encodable>>;
  const hex = (name: string): boolean => /^[0-9a-f]{32,64}$/.test(String(fields[name]));
  const whole = (name: string, from: number): boolean =>
    Number.isSafeInteger(fields[name]) && (fields[name] as number) >= from;
  const ok =
    hex("run") &&
    hex("base") &&
    hex("plan") &&
    whole("round", 1) &&
    whole("examples", 1) &&
    whole("steps", 0) &&
    typeof fields["loss"] === "number" &&
    whole("size", 1) &&
    (fields["vectors"] === 1 || fields["vectors"] === 2) &&
    Object.keys(fields).length === 9;
  if (!ok) throw new FederatedError("bad-update", "The header of an update lacks a field.");
  return fields as unknown as UpdateHeader;
}

/**
 * What a commitment names. Hexadecimal.
 * @param ciphertext SHA-256 of all sealed pieces, one after the other.
 */
export async function updateDigest(
  crypto: Crypto,
  header: Uint8Array,
  ciphertext: Uint8Array,
): Promise<string> {
  const content = lengthPrefixed(labels.federatedUpdate, header, ciphertext);
  return toHex(await crypto.digest("SHA-256", content));
}

/** One update of a round's set. */
export interface SetMember {
  /** Fingerprint of the participant's identity. */
  readonly participant: string;
  /** Digest of the sealed update. */
  readonly update: string;
}

/** Digest of the set, whatever the order: what is committed to. Hexadecimal. */
export async function setDigest(
  crypto: Crypto,
  run: string,
  round: number,
  members: readonly SetMember[],
): Promise<string> {
  const ordered = [...members].sort((a, b) => (a.participant < b.participant ? -1 : 1));
  const parts = ordered.flatMap(({ participant, update }) => [participant, update]);
  return toHex(
    await crypto.digest("SHA-256", lengthPrefixed(labels.federatedSet, run, u32(round), ...parts)),
  );
}

/** Digest of parameters. Hexadecimal. */
export async function modelDigest(crypto: Crypto, parameters: Float32Array): Promise<string> {
  const content = lengthPrefixed(labels.federatedModel, bytesOfFloats(parameters));
  return toHex(await crypto.digest("SHA-256", content));
}
