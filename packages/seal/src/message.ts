/**
 * Sealed messages for store-and-forward: HPKE to one recipient, from one proven sender.
 *
 * Two ways to prove the sender. `auth` (RFC 9180 mode_auth, an HPKE key of the sender): deniable,
 * and whoever steals the *recipient's* key can forge to it. `signed` (mode_base and a signature
 * over everything, both ends' keys included): proves it to third parties too. Which one a receiver
 * takes follows from the key it expects, never from the message.
 *
 * Not protected: the length of the plaintext, who talks to whom, and earlier messages if the
 * recipient's key is stolen while it lives (HPKE has no forward secrecy towards the recipient).
 */
import { AttestationResult } from "@vivarium/attestation";
import {
  type Clock,
  type Crypto,
  type DecodeLimits,
  defaultDecodeLimits,
  equalBytes,
  labels,
  lengthPrefixed,
  type Random,
  type Signer,
  type SigningAlgorithm,
  u64,
} from "@vivarium/core";
import { bytesOf, decodeCanonical, encodeCanonical, fieldsOf, integerOf } from "./canonical.ts";
import { SealError } from "./errors.ts";
import {
  type HpkeKem,
  type HpkeKey,
  hpkeKems,
  kemPublicKeyBytes,
  privatePair,
  suiteOf,
} from "./hpke.ts";
import type { ReplayGuard } from "./replay.ts";

export const maxMessagePlaintextBytes: number = 15 * 1024 * 1024;
const maxContextBytes = 65_536;

const messageLimits: DecodeLimits = {
  ...defaultDecodeLimits,
  maxDepth: 1,
  maxArrayLength: 0,
  maxMapLength: 8,
  maxStringBytes: 16,
  maxValues: 17,
};

/** A bare public key, for recipients that were verified in another way. */
export interface HpkePublicKey {
  readonly kem: HpkeKem;
  readonly publicKey: Uint8Array;
}

export interface SealMessageOptions {
  /** A proven peer (its HPKE key is taken from the verified statement) or a pinned key. */
  readonly to: AttestationResult | HpkePublicKey;
  /** A signing key (`signed`) or an HPKE key of the same KEM (`auth`). */
  readonly from: Signer | HpkeKey;
  /** What the message is for; both sides must give the same. Not sent. At most 64 KiB. */
  readonly info: Uint8Array;
  /** Bound to the message, not sent. At most 64 KiB. */
  readonly aad: Uint8Array;
  readonly plaintext: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
}

/** The key a message must come from: of a proven peer, or pinned. */
export type ExpectedSender =
  | AttestationResult
  | { readonly signing: Uint8Array; readonly algorithm: SigningAlgorithm }
  | { readonly hpke: Uint8Array };

export interface OpenMessageOptions {
  readonly recipient: HpkeKey;
  readonly from: ExpectedSender;
  readonly info: Uint8Array;
  readonly aad: Uint8Array;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly replay: ReplayGuard;
}

export interface OpenedMessage {
  readonly plaintext: Uint8Array<ArrayBuffer>;
  /** 16 random bytes of the sender: identifies the message. */
  readonly id: Uint8Array;
  /** The sender's clock, milliseconds since the epoch. */
  readonly sentAt: number;
  readonly mode: "auth" | "signed";
}

interface Envelope {
  readonly kem: HpkeKem;
  readonly id: Uint8Array;
  readonly sentAt: number;
  /** The sender's public key, as its mode has it. */
  readonly sender: Uint8Array;
  readonly enc: Uint8Array;
  readonly ciphertext: Uint8Array;
  /** Empty in mode `auth`. */
  readonly signature: Uint8Array;
}

/** Both ends, mode, id and time go into the key schedule: a message moved to another context dies. */
function hpkeInfo(
  envelope: Omit<Envelope, "enc" | "ciphertext" | "signature">,
  mode: string,
  recipient: Uint8Array,
  info: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const { kem, id, sentAt, sender } = envelope;
  return lengthPrefixed(labels.message, mode, kem, id, u64(sentAt), recipient, sender, info);
}

/** What the sender signs: everything the receiver will act upon. */
function signedBytes(
  schedule: Uint8Array,
  aad: Uint8Array,
  enc: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  return lengthPrefixed(labels.messageSignature, schedule, enc, aad, ciphertext);
}

function requireContext(info: Uint8Array, aad: Uint8Array): void {
  if (info.length > maxContextBytes || aad.length > maxContextBytes) {
    throw new SealError(
      "limit-exceeded",
      `info and aad have at most ${maxContextBytes} bytes each.`,
    );
  }
}

/**
 * @returns the message, plaintext length + about 250 bytes.
 * @throws AttestationError `not-a-result` or `expired`; SealError `invalid-argument` or
 * `limit-exceeded`.
 */
export async function sealMessage(options: SealMessageOptions): Promise<Uint8Array<ArrayBuffer>> {
  const { from, info, aad, plaintext, clock, random } = options;
  requireContext(info, aad);
  if (plaintext.length > maxMessagePlaintextBytes) {
    throw new SealError(
      "limit-exceeded",
      `A message has at most ${maxMessagePlaintextBytes} bytes.`,
    );
  }
  const { kem, publicKey } = recipientOf(options.to, clock);
  const signer = "sign" in from ? from : undefined;
  const mode = signer === undefined ? "auth" : "signed";
  if ("kem" in from && from.kem !== kem) {
    throw new SealError("invalid-argument", `Sender's key is ${from.kem}, the recipient's ${kem}.`);
  }
  const head = { kem, id: random.bytes(16), sentAt: clock.now(), sender: from.publicKey };
  const schedule = hpkeInfo(head, mode, publicKey, info);
  const suite = suiteOf(kem);
  let enc: Uint8Array;
  let ciphertext: Uint8Array;
  try {
    const context = await suite.createSenderContext({
      recipientPublicKey: await suite.kem.deserializePublicKey(publicKey),
      info: schedule,
      ...("kem" in from ? { senderKey: privatePair(from) } : {}),
    });
    ciphertext = new Uint8Array(await context.seal(plaintext, aad));
    enc = new Uint8Array(context.enc);
  } catch (cause) {
    if (cause instanceof SealError) throw cause;
    throw new SealError("invalid-argument", `Cannot seal to this ${kem} key.`, { cause });
  }
  const signature =
    (await signer?.sign(signedBytes(schedule, aad, enc, ciphertext))) ?? new Uint8Array(0);
  return encodeCanonical({ v: 1, ...head, enc, ciphertext, signature });
}

/**
 * Opens a message once. Nothing is decrypted before the sender is proven, nothing remembered of a
 * message that is not authentic.
 * @throws SealError `malformed`, `not-authentic`, `replayed` or `limit-exceeded`; AttestationError
 * `not-a-result` or `expired`.
 */
export async function openMessage(
  message: Uint8Array,
  options: OpenMessageOptions,
): Promise<OpenedMessage> {
  const { recipient, info, aad, crypto, clock, replay } = options;
  requireContext(info, aad);
  const envelope = parseMessage(message);
  const { kem, id, sentAt, sender, enc, ciphertext, signature } = envelope;
  if (kem !== recipient.kem) throw notAuthentic("it is for another kind of key");
  const mode = signature.length === 0 ? "auth" : "signed";
  const expected = senderOf(options.from, mode, clock);
  if (expected === undefined || !equalBytes(expected.key, sender)) {
    throw notAuthentic("it is not from the expected sender");
  }
  const schedule = hpkeInfo(envelope, mode, recipient.publicKey, info);
  if (expected.algorithm !== undefined) {
    const bytes = signedBytes(schedule, aad, enc, ciphertext);
    const genuine = await crypto.verify(expected.algorithm, expected.key, signature, bytes);
    if (genuine !== true) throw notAuthentic("its signature does not verify");
  }
  const suite = suiteOf(kem);
  let plaintext: Uint8Array<ArrayBuffer>;
  try {
    const context = await suite.createRecipientContext({
      recipientKey: privatePair(recipient),
      enc,
      info: schedule,
      ...(mode === "auth" ? { senderPublicKey: await suite.kem.deserializePublicKey(sender) } : {}),
    });
    plaintext = new Uint8Array(await context.open(ciphertext, aad));
  } catch (cause) {
    if (cause instanceof SealError) throw cause;
    throw notAuthentic("it does not decrypt", cause);
  }
  replay.accept(sender, id, sentAt);
  return { plaintext, id, sentAt, mode };
}

const notAuthentic = (why: string, cause?: unknown): SealError =>
  new SealError("not-authentic", `The message is refused: ${why}.`, { cause });

function recipientOf(to: AttestationResult | HpkePublicKey, clock: Clock): HpkePublicKey {
  if (!AttestationResult.is(to) && "kem" in to && hpkeKems.includes(to.kem)) {
    if (to.publicKey.length !== kemPublicKeyBytes[to.kem]) {
      throw new SealError("invalid-argument", `Not the public key of a ${to.kem} recipient.`);
    }
    return to;
  }
  AttestationResult.requireValid(to, clock);
  return { kem: "X25519", publicKey: to.keys.hpke };
}

function senderOf(
  from: ExpectedSender,
  mode: "auth" | "signed",
  clock: Clock,
): { readonly key: Uint8Array; readonly algorithm: SigningAlgorithm | undefined } | undefined {
  if (!AttestationResult.is(from)) {
    if ("signing" in from) {
      return mode === "signed" ? { key: from.signing, algorithm: from.algorithm } : undefined;
    }
    if ("hpke" in from)
      return mode === "auth" ? { key: from.hpke, algorithm: undefined } : undefined;
  }
  AttestationResult.requireValid(from, clock);
  if (mode === "auth") return { key: from.keys.hpke, algorithm: undefined };
  return { key: from.keys.signing, algorithm: algorithmOf(from.keys.signing) };
}

/** Worker keys are Ed25519 (44 bytes of SPKI), P-256 (91) or P-384 (120). */
function algorithmOf(spki: Uint8Array): SigningAlgorithm {
  return spki.length === 44 ? "EdDSA" : spki.length === 120 ? "ES384" : "ES256";
}

function parseMessage(bytes: Uint8Array): Envelope {
  const fields = fieldsOf(
    "A sealed message",
    decodeCanonical("A sealed message", bytes, messageLimits),
    ["v", "kem", "id", "sentAt", "sender", "enc", "ciphertext", "signature"],
  );
  integerOf("Version of the message", fields.v, 1, 1);
  const kem = hpkeKems.find((name) => name === fields.kem);
  if (kem === undefined) throw new SealError("malformed", "The message names an unknown KEM.");
  return {
    kem,
    id: bytesOf("Message id", fields.id, 16),
    sentAt: integerOf("Time of the message", fields.sentAt, 0, Number.MAX_SAFE_INTEGER),
    sender: bytesOf("Sender of the message", fields.sender, 32, 128),
    enc: bytesOf("Encapsulated key", fields.enc, kemPublicKeyBytes[kem]),
    ciphertext: bytesOf("Ciphertext", fields.ciphertext, 16, maxMessagePlaintextBytes + 16),
    signature: bytesOf("Signature of the message", fields.signature, 0, 96),
  };
}
