/**
 * What the owner of a guest starts a launch with: transport keys that only the platform of a verified PDH can
 * unwrap. Source: AMD 55766 sections 2.2 and 6.2 (LAUNCH_START), appendix B.1; NIST SP 800-108, 5.1.
 */
import { type Crypto, concat, type Random, systemRandom, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { sevUsage } from "./certificate.ts";
import type { VerifiedSevPlatform } from "./platform.ts";
import { policyBytes } from "./policy.ts";

/** Transport keys, 16 bytes each. They stay with the owner; whoever has them can inject secrets. */
export interface SevTransportKeys {
  readonly encryption: Uint8Array;
  readonly integrity: Uint8Array;
}

export interface SevSession {
  readonly policy: number;
  /** Fingerprints of the platform that the keys are wrapped to. */
  readonly platform: { readonly root: string; readonly owner: string };
  /** The owner's Diffie-Hellman certificate (`dh-cert-file` of QEMU), 2,084 bytes. */
  readonly certificate: Uint8Array;
  /** The launch blob (`session-file` of QEMU), 128 bytes. */
  readonly blob: Uint8Array;
  readonly keys: SevTransportKeys;
}

export interface SevSessionOptions {
  readonly crypto: Crypto;
  readonly platform: VerifiedSevPlatform;
  /** Guest policy: see `sevPolicy`. */
  readonly policy: number;
  readonly random?: Random;
}

const spkiPointAt = 24;

/** @throws AttestationError `malformed` for a policy that is no 32-bit number. */
export async function createSevSession(options: SevSessionOptions): Promise<SevSession> {
  const { crypto, platform, policy, random = systemRandom() } = options;
  if (!Number.isInteger(policy) || policy < 0 || policy > 0xffff_ffff) {
    throw new AttestationError("malformed", "A guest policy is a number of 32 bits.");
  }
  const { subtle } = globalThis.crypto;
  const curve = { name: "ECDH", namedCurve: "P-384" } as const;
  const pair = await subtle.generateKey(curve, true, ["deriveBits"]);
  const point = new Uint8Array(platform.pdh.spki).slice(spkiPointAt - 1);
  const theirs = await subtle.importKey("raw", point, curve, false, []);
  const shared = await subtle.deriveBits({ name: "ECDH", public: theirs }, pair.privateKey, 384);
  const ours = new Uint8Array(await subtle.exportKey("raw", pair.publicKey));
  const keys = { encryption: random.bytes(16), integrity: random.bytes(16) };
  const [nonce, iv] = [random.bytes(16), random.bytes(16)];
  return {
    policy,
    platform: { root: platform.root, owner: platform.owner },
    certificate: ownerCertificate(ours),
    blob: await launchBlob({ crypto, shared: new Uint8Array(shared), keys, nonce, iv, policy }),
    keys,
  };
}

export interface LaunchBlobInput {
  readonly crypto: Crypto;
  /** Of the Diffie-Hellman exchange. */
  readonly shared: Uint8Array;
  readonly keys: SevTransportKeys;
  readonly nonce: Uint8Array;
  readonly iv: Uint8Array;
  readonly policy: number;
}

/** Nonce, wrapped keys, IV, MAC of the wrapped keys, MAC of the policy (55766 table 20). */
export async function launchBlob(input: LaunchBlobInput): Promise<Uint8Array<ArrayBuffer>> {
  const { crypto, shared, keys, nonce, iv, policy } = input;
  const { encryptionKey, integrityKey } = await wrappingKeys(crypto, shared, nonce);
  const plain = concat(keys.encryption, keys.integrity);
  const wrapped = await aesCtr(encryptionKey, iv, plain);
  plain.fill(0);
  const wrapMac = await crypto.hmac("SHA-256", integrityKey, wrapped);
  const policyMac = await crypto.hmac("SHA-256", keys.integrity, policyBytes(policy));
  return concat(nonce, wrapped, iv, wrapMac, policyMac);
}

/** KEK and KIK, 16 bytes each. */
export async function wrappingKeys(
  crypto: Crypto,
  shared: Uint8Array,
  nonce: Uint8Array,
): Promise<{ readonly encryptionKey: Uint8Array; readonly integrityKey: Uint8Array }> {
  const none = new Uint8Array(0);
  const master = await derive(crypto, shared, "sev-master-secret", nonce);
  return {
    encryptionKey: await derive(crypto, master, "sev-kek", none),
    integrityKey: await derive(crypto, master, "sev-kik", none),
  };
}

/** KDF in counter mode with HMAC-SHA-256; one block gives the 128 bits that are wanted. */
async function derive(
  crypto: Crypto,
  key: Uint8Array,
  label: string,
  context: Uint8Array,
): Promise<Uint8Array> {
  const counter = Uint8Array.of(1, 0, 0, 0);
  const bits = Uint8Array.of(128, 0, 0, 0);
  const input = concat(counter, utf8(label), Uint8Array.of(0), context, bits);
  return (await crypto.hmac("SHA-256", key, input)).slice(0, 16);
}

/** AES-128-CTR, which encrypts and decrypts alike. WebCrypto: `Crypto` has no ciphers. */
export async function aesCtr(
  key: Uint8Array,
  iv: Uint8Array,
  data: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const { subtle } = globalThis.crypto;
  const imported = await subtle.importKey("raw", new Uint8Array(key), "AES-CTR", false, [
    "encrypt",
  ]);
  const how = { name: "AES-CTR", counter: new Uint8Array(iv), length: 128 };
  return new Uint8Array(await subtle.encrypt(how, imported, new Uint8Array(data)));
}

/** A PDH certificate without signatures: the firmware takes the key out of it, and no more. */
function ownerCertificate(point: Uint8Array): Uint8Array {
  const certificate = new Uint8Array(2084);
  const view = new DataView(certificate.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(8, sevUsage.pdh, true);
  // ECDH with SHA-256, on P-384.
  view.setUint32(12, 0x3, true);
  view.setUint32(16, 2, true);
  certificate.set(point.slice(1, 49).reverse(), 20);
  certificate.set(point.slice(49, 97).reverse(), 92);
  for (const slot of [1044, 1564]) view.setUint32(slot, sevUsage.none, true);
  return certificate;
}
