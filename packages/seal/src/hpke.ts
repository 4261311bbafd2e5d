/** HPKE (RFC 9180) by `@hpke/core` on WebCrypto: our two suites, and recipients as handles. */
import {
  Aes256Gcm,
  CipherSuite,
  DhkemP256HkdfSha256,
  DhkemX25519HkdfSha256,
  HkdfSha256,
} from "@hpke/core";
import { SealError } from "./errors.ts";

/** DHKEM(X25519 or P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. */
export type HpkeKem = "X25519" | "P-256";

export const hpkeKems: readonly HpkeKem[] = ["X25519", "P-256"];

/** Bytes of a public key, which are also those of `enc`. */
export const kemPublicKeyBytes: Readonly<Record<HpkeKem, number>> = { X25519: 32, "P-256": 65 };

/** Pairs of this runtime's own handles; the private half cannot be exported. */
type KeyPair = Parameters<CipherSuite["createRecipientContext"]>[0]["recipientKey"] & object;

const pairs = new WeakMap<HpkeKey, KeyPair>();

/** A private HPKE key as a handle: opens messages, or proves a sender (mode_auth). */
export interface HpkeKey {
  readonly kem: HpkeKem;
  /** As RFC 9180 serialises it: 32 bytes (X25519) or 65 (P-256, uncompressed). */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

/** @internal */
export function suiteOf(kem: HpkeKem): CipherSuite {
  return new CipherSuite({
    kem: kem === "X25519" ? new DhkemX25519HkdfSha256() : new DhkemP256HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes256Gcm(),
  });
}

/** A fresh key pair whose private half cannot be exported and dies with the process. */
export async function generateRecipient(kem: HpkeKem = "X25519"): Promise<HpkeKey> {
  const { subtle } = globalThis.crypto;
  const algorithm = kem === "X25519" ? { name: "X25519" } : { name: "ECDH", namedCurve: "P-256" };
  const pair = (await subtle.generateKey(algorithm, false, ["deriveBits"])) as KeyPair & {
    readonly publicKey: Parameters<typeof subtle.exportKey>[1];
  };
  const publicKey = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
  const key: HpkeKey = Object.freeze({ kem, publicKey });
  pairs.set(key, pair);
  return key;
}

/** @internal @throws SealError `invalid-argument` for a look-alike. */
export function privatePair(key: HpkeKey): KeyPair {
  const pair = pairs.get(key);
  if (pair === undefined) {
    throw new SealError("invalid-argument", "Not a key made by generateRecipient.");
  }
  return pair;
}
