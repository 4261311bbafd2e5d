/**
 * AMD's binary certificates of SEV and SEV-ES: authorities (ARK, ASK) of 832 or 1,600 bytes and platform
 * certificates (CEK, OCA, PEK, PDH) of 2,084. Little-endian. Source: AMD 55766 appendices B.1 and C.1.
 */
import { type Crypto, concat } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { spkiOf } from "../keys.ts";
import { readerOf } from "../reader.ts";
import { rsaSpki } from "../tpm/structures.ts";
import { verifyP384 } from "../x509/verify-signature.ts";

export const sevCertificateBytes = 2084;

export const sevUsage = {
  ark: 0x0,
  ask: 0x13,
  none: 0x1000,
  oca: 0x1001,
  pek: 0x1002,
  pdh: 0x1003,
  cek: 0x1004,
} as const;

/** Algorithms of keys and signatures (55766 appendix C.1). */
const algorithms = {
  rsa256: 0x1,
  ecdsa256: 0x2,
  ecdh256: 0x3,
  rsa384: 0x101,
  ecdsa384: 0x102,
} as const;

export interface SevAuthority {
  readonly raw: Uint8Array;
  readonly signed: Uint8Array;
  readonly usage: number;
  readonly keyId: Uint8Array;
  readonly certifyingId: Uint8Array;
  readonly spki: Uint8Array;
  /** PS256 with 2,048 bits (Naples), else PS384. */
  readonly algorithm: "PS256" | "PS384";
  readonly signature: Uint8Array;
}

export interface SevSignature {
  readonly usage: number;
  readonly algorithm: number;
  /** 512 bytes as stored. */
  readonly bytes: Uint8Array;
}

export interface SevCertificate {
  readonly raw: Uint8Array;
  readonly signed: Uint8Array;
  readonly apiMajor: number;
  readonly apiMinor: number;
  readonly usage: number;
  /** P-384. */
  readonly spki: Uint8Array;
  readonly signatures: readonly [SevSignature, SevSignature];
}

/** @throws AttestationError `malformed`. */
export function parseSevAuthority(what: string, raw: Uint8Array): SevAuthority {
  const reader = readerOf(what, raw);
  if (reader.u32le("version") !== 1) fail(what, "has another version than 1");
  const keyId = reader.bytes("key id", 16);
  const certifyingId = reader.bytes("certifying id", 16);
  const usage = reader.u32le("usage");
  reader.bytes("reserved", 16);
  const exponentBits = reader.u32le("size of the exponent");
  const modulusBits = reader.u32le("size of the modulus");
  if (exponentBits !== modulusBits || (modulusBits !== 2048 && modulusBits !== 4096)) {
    fail(what, `has a key of ${modulusBits} bits`);
  }
  const exponent = reader.bytes("exponent", modulusBits / 8);
  const [e0, e1, e2, ...rest] = exponent;
  if (e0 !== 1 || e1 !== 0 || e2 !== 1 || rest.some((byte) => byte !== 0)) {
    fail(what, "has another exponent than 65537");
  }
  const modulus = reversed(reader.bytes("modulus", modulusBits / 8));
  const signed = raw.subarray(0, reader.offset);
  const signature = reversed(reader.bytes("signature", modulusBits / 8));
  reader.end();
  const algorithm = modulusBits === 2048 ? "PS256" : "PS384";
  return { raw, signed, usage, keyId, certifyingId, spki: rsaSpki(modulus), algorithm, signature };
}

/** @throws AttestationError `malformed`. */
export function parseSevCertificate(what: string, raw: Uint8Array): SevCertificate {
  if (raw.length !== sevCertificateBytes) fail(what, `has ${raw.length} bytes, not 2084`);
  const reader = readerOf(what, raw);
  if (reader.u32le("version") !== 1) fail(what, "has another version than 1");
  const apiMajor = reader.u8("API major");
  const apiMinor = reader.u8("API minor");
  reader.bytes("reserved", 2);
  const usage = reader.u32le("usage");
  const algorithm = reader.u32le("algorithm");
  const known: readonly number[] = [
    algorithms.ecdsa256,
    algorithms.ecdh256,
    algorithms.ecdsa384,
    0x103,
  ];
  if (!known.includes(algorithm)) fail(what, `has the key algorithm 0x${algorithm.toString(16)}`);
  // 2 is P-384, the only curve in use.
  if (reader.u32le("curve") !== 2) fail(what, "is on another curve than P-384");
  const x = coordinate(what, reader.bytes("x", 72));
  const y = coordinate(what, reader.bytes("y", 72));
  reader.bytes("reserved", 880);
  const signed = raw.subarray(0, reader.offset);
  const slot = (): SevSignature => {
    const by = reader.u32le("signature usage");
    const how = reader.u32le("signature algorithm");
    const bytes = reader.bytes("signature", 512);
    // An empty slot is not covered by anything: it must be empty.
    if (by === sevUsage.none && (how !== 0 || bytes.some((byte) => byte !== 0))) {
      fail(what, "has something in an empty slot");
    }
    return { usage: by, algorithm: how, bytes };
  };
  const signatures = [slot(), slot()] as const;
  return { raw, signed, apiMajor, apiMinor, usage, spki: spkiOf("ES384", x, y), signatures };
}

/** True if the authority signed these bytes. */
export async function signedByAuthority(
  crypto: Crypto,
  authority: SevAuthority,
  signed: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return await crypto.verify(authority.algorithm, authority.spki, signature, signed);
}

/** The RSA signature of a slot, which is as long as the authority's modulus. */
export function rsaOfSlot(authority: SevAuthority, slot: SevSignature): Uint8Array | undefined {
  const wanted = authority.algorithm === "PS256" ? algorithms.rsa256 : algorithms.rsa384;
  const length = authority.signature.length;
  const clean = slot.bytes.subarray(length).every((byte) => byte === 0);
  return slot.algorithm === wanted && clean ? reversed(slot.bytes.subarray(0, length)) : undefined;
}

/** True if the P-384 key signed these bytes, with SHA-256 or SHA-384 as the slot says. */
export async function signedByKey(
  crypto: Crypto,
  spki: Uint8Array,
  signed: Uint8Array,
  { algorithm, bytes }: SevSignature,
): Promise<boolean> {
  const unused = [...bytes.subarray(48, 72), ...bytes.subarray(120)];
  if (unused.some((byte) => byte !== 0)) return false;
  const signature = concat(reversed(bytes.subarray(0, 48)), reversed(bytes.subarray(72, 120)));
  if (algorithm === algorithms.ecdsa384)
    return await crypto.verify("ES384", spki, signature, signed);
  if (algorithm !== algorithms.ecdsa256) return false;
  return verifyP384(spki, signature, await crypto.digest("SHA-256", signed));
}

function coordinate(what: string, bytes: Uint8Array): Uint8Array {
  if (bytes.subarray(48).some((byte) => byte !== 0))
    fail(what, "has a coordinate that is too long");
  return reversed(bytes.subarray(0, 48));
}

function reversed(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes).reverse();
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} ${reason}.`);
}
