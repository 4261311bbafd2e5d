/**
 * Signed notes (C2SP signed-note) and the checkpoints in them (tlog-checkpoint), with cosignatures
 * of witnesses (tlog-cosignature, Ed25519).
 */
import { createHash } from "node:crypto";
import { type Crypto, concat, equalBytes, fromUtf8, type Signer, u64, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { hashBytes } from "./tree.ts";

/** 0x01: Ed25519 over the text. 0x04: over the time and the text, by a witness. */
export type KeyKind = "log" | "witness";
const kindByte: Readonly<Record<KeyKind, number>> = { log: 1, witness: 4 };

/** A key that notes are verified with. */
export interface NoteKey {
  readonly name: string;
  readonly kind: KeyKind;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
}

const maxNoteBytes = 64 * 1024;
const maxSignatures = 64;
/** SubjectPublicKeyInfo of Ed25519 (RFC 8410) before the key itself. */
const spkiPrefix: Uint8Array = Uint8Array.of(0x30, 42, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 33, 0);

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** All of the note's text, its last line feed included: what is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** Names stand in lines of text: no space, no plus sign (which parts a vkey), at most 200 characters. */
export function requireName(name: string): void {
  if (!/^[\x21-\x2a\x2c-\x7e]{1,200}$/.test(name)) {
    throw new BrokerError(
      "invalid-argument",
      "The name of a log or witness has 1 to 200 visible ASCII characters, none of them +.",
    );
  }
}

/** @throws BrokerError `invalid-argument` unless the signer is of Ed25519. */
export function noteKey(kind: KeyKind, name: string, signer: Signer): NoteKey {
  requireName(name);
  const { algorithm, publicKey } = signer;
  const { length } = spkiPrefix;
  if (algorithm !== "EdDSA" || !equalBytes(publicKey.subarray(0, length), spkiPrefix)) {
    throw new BrokerError("invalid-argument", "Audit logs and witnesses sign by Ed25519.");
  }
  return { name, kind, publicKey: publicKey.slice(length) };
}

/** `name+keyid+base64(kind ‖ key)`, as the note tools of others read it. */
export function encodeVkey(key: NoteKey): string {
  const id = Buffer.from(keyIdOf(key)).toString("hex");
  const body = Buffer.from(concat(Uint8Array.of(kindByte[key.kind]), key.publicKey));
  return `${key.name}+${id}+${body.toString("base64")}`;
}

/** @throws BrokerError `malformed`. */
export function decodeVkey(text: string): NoteKey {
  const match = /^([^+\s]{1,200})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44}={0,2})$/.exec(text.trim());
  const body = match === null ? undefined : fromBase64(match[3] as string);
  const kind = body?.[0] === 1 ? "log" : body?.[0] === 4 ? "witness" : undefined;
  if (match === null || body?.length !== 33 || kind === undefined) {
    throw new BrokerError(
      "malformed",
      "A key of a log or witness looks like name+12345678+base64.",
    );
  }
  const key: NoteKey = { name: match[1] as string, kind, publicKey: body.slice(1) };
  if (Buffer.from(keyIdOf(key)).toString("hex") !== match[2]) {
    throw new BrokerError("malformed", "The key's id is not that of its name and bytes.");
  }
  return key;
}

function keyIdOf({ name, kind, publicKey }: NoteKey): Uint8Array {
  const hash = createHash("sha256").update(`${name}\n`).update(Uint8Array.of(kindByte[kind]));
  return new Uint8Array(hash.update(publicKey).digest().subarray(0, 4));
}

export function checkpointText(origin: string, size: number, root: Uint8Array): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
}

/** One signature line over a note's text. */
export async function signNote(text: string, name: string, signer: Signer): Promise<string> {
  const key = noteKey("log", name, signer);
  return signatureLine(key, await signer.sign(utf8(text)));
}

/** A witness's line: it has seen this checkpoint grow out of the one before. @param seconds since the epoch. */
export async function cosign(
  text: string,
  name: string,
  signer: Signer,
  seconds: number,
): Promise<string> {
  const key = noteKey("witness", name, signer);
  const signature = await signer.sign(utf8(cosignedText(text, seconds)));
  return signatureLine(key, concat(u64(seconds), signature));
}

const cosignedText = (text: string, seconds: number | bigint): string =>
  `cosignature/v1\ntime ${seconds}\n${text}`;

function signatureLine(key: NoteKey, signature: Uint8Array): string {
  const body = Buffer.from(concat(keyIdOf(key), signature)).toString("base64");
  return `\u2014 ${key.name} ${body}\n`;
}

/** Form only. @throws BrokerError `malformed`. */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  if (bytes.length > maxNoteBytes) throw malformed(`is over ${maxNoteBytes} bytes`);
  let note: string;
  try {
    note = fromUtf8(bytes);
  } catch (cause) {
    throw malformed("is not text", cause);
  }
  const end = note.lastIndexOf("\n\n");
  if (end === -1 || !note.endsWith("\n")) throw malformed("has no signatures");
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split("\n");
  if (lines.length > maxSignatures) throw malformed(`has over ${maxSignatures} signatures`);
  const [origin = "", size = "", root = ""] = text.split("\n");
  const hash = /^[A-Za-z0-9+/]{43}=$/.test(root) ? fromBase64(root) : undefined;
  const count = /^(0|[1-9]\d{0,15})$/.test(size) ? Number(size) : Number.NaN;
  if (origin === "" || !Number.isSafeInteger(count) || hash?.length !== hashBytes) {
    throw malformed("does not begin with origin, size and root");
  }
  return { origin, size: count, root: hash, text, signatures: lines.map(parseSignature) };
}

function parseSignature(line: string): NoteSignature {
  const match = /^\u2014 ([^+\s]{1,200}) ([A-Za-z0-9+/]{8,8192}={0,2})$/.exec(line);
  const body = match === null ? undefined : fromBase64(match[2] as string);
  if (match === null || body === undefined || body.length < 5) {
    throw malformed("has a line that is no signature");
  }
  return { name: match[1] as string, keyId: body.slice(0, 4), signature: body.slice(4) };
}

/** @returns whether this key has signed; for a witness also when, in seconds since the epoch. */
export async function signedBy(
  crypto: Crypto,
  checkpoint: Checkpoint,
  key: NoteKey,
): Promise<{ readonly signed: boolean; readonly time?: number }> {
  const id = keyIdOf(key);
  const spki = concat(spkiPrefix, key.publicKey);
  for (const { name, keyId, signature } of checkpoint.signatures) {
    if (name !== key.name || !equalBytes(keyId, id)) continue;
    if (key.kind === "log") {
      if (await crypto.verify("EdDSA", spki, signature, utf8(checkpoint.text))) {
        return { signed: true };
      }
    } else if (signature.length === 72) {
      const view = new DataView(signature.buffer, signature.byteOffset, 8);
      const time = view.getBigUint64(0);
      const data = utf8(cosignedText(checkpoint.text, time));
      if (await crypto.verify("EdDSA", spki, signature.subarray(8), data)) {
        return { signed: true, time: Number(time) };
      }
    }
  }
  return { signed: false };
}

/** What a checkpoint must show to be believed. */
export interface Trust {
  readonly log: NoteKey;
  /** Of these, at least {@link quorum} must have cosigned. */
  readonly witnesses: readonly NoteKey[];
  readonly quorum: number;
}

/** @throws BrokerError `malformed`, `not-genuine` or `invalid-argument`. */
export async function openCheckpoint(
  crypto: Crypto,
  bytes: Uint8Array,
  trust: Trust,
): Promise<Checkpoint> {
  const { log, witnesses, quorum } = trust;
  const names = new Set(witnesses.map((key) => Buffer.from(key.publicKey).toString("hex")));
  if (!Number.isInteger(quorum) || quorum < 0 || quorum > names.size) {
    throw new BrokerError("invalid-argument", `${quorum} of ${names.size} witnesses is no quorum.`);
  }
  const checkpoint = parseCheckpoint(bytes);
  if (checkpoint.origin !== log.name || !(await signedBy(crypto, checkpoint, log)).signed) {
    throw new BrokerError("not-genuine", `The checkpoint is not signed by ${log.name} for itself.`);
  }
  const signed = new Set<string>();
  for (const key of witnesses) {
    if (key.kind !== "witness")
      throw new BrokerError("invalid-argument", "A witness has a 04 key.");
    if (!(await signedBy(crypto, checkpoint, key)).signed) continue;
    signed.add(Buffer.from(key.publicKey).toString("hex"));
  }
  if (signed.size < quorum) {
    throw new BrokerError(
      "not-genuine",
      `${signed.size} of the ${quorum} witnesses that are demanded have cosigned.`,
    );
  }
  return checkpoint;
}

/** Strict: one text for one value. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? new Uint8Array(bytes) : undefined;
}

function malformed(what: string, cause?: unknown): BrokerError {
  return new BrokerError("malformed", `The checkpoint ${what}.`, { cause });
}
