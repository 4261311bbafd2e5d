/** COSE_Sign1 (RFC 9052 section 4.2) as TEEs use it. */
import type { Crypto, SignatureAlgorithm } from "@vivarium/core";
import { bytesOf, type CborValue, encodeCbor } from "./cbor.ts";
import { decodeTolerant } from "./cbor-tolerant.ts";
import { AttestationError } from "./errors.ts";
import { keyAlgorithm, spkiOf } from "./keys.ts";

/** Signature algorithms (RFC 9053 section 2.1). */
const algorithms: Readonly<Record<number, SignatureAlgorithm>> = {
  [-7]: "ES256",
  [-35]: "ES384",
  [-36]: "ES512",
};

export interface CoseSign1 {
  readonly algorithm: SignatureAlgorithm;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** Sig_structure: what the signature is over. */
  readonly signed: Uint8Array;
}

const limits = { maxBytes: 128 * 1024, maxDepth: 4, maxValues: 64 };
const label = { algorithm: 1, critical: 2, contentType: 3, keyId: 4 } as const;

/**
 * @param bytes tagged (18) or not.
 * @throws AttestationError `malformed`.
 */
export function parseCoseSign1(what: string, bytes: Uint8Array): CoseSign1 {
  const body = bytes[0] === 0xd2 ? bytes.subarray(1) : bytes;
  const parts = decodeTolerant(what, body, limits);
  if (!Array.isArray(parts) || parts.length !== 4) fail(what, "is not a COSE_Sign1");
  const [first, unprotected, second, third] = parts as readonly CborValue[];
  const protectedHeader = bytesOf(`${what}: protected header`, first, 1, 1024);
  const payload = bytesOf(`${what}: payload`, second, 1, limits.maxBytes);
  const signature = bytesOf(`${what}: signature`, third, 64, 132);
  const header = decodeTolerant(`${what}: protected header`, protectedHeader, limits);
  if (!(header instanceof Map)) fail(what, "has a protected header that is not a map");
  // What a critical header demands is not done here.
  if (header.has(label.critical)) fail(what, "has critical header parameters");
  const id = header.get(label.algorithm);
  const algorithm =
    typeof id === "number" && Object.hasOwn(algorithms, id) ? algorithms[id] : undefined;
  if (algorithm === undefined) fail(what, "is signed by an algorithm that is not accepted");
  // Outside of the signature: nothing of it is used, so nothing but a key's name may stand there.
  const loose = unprotected instanceof Map ? [...unprotected.keys()] : undefined;
  if (loose?.every((key) => key === label.keyId) !== true) fail(what, "has unprotected headers");
  return { algorithm, payload, signature, signed: signedOf(protectedHeader, payload) };
}

/**
 * Where a COSE_Sign1 with an empty unprotected header ends, for those who keep something after it.
 * Undefined if it does not begin as one.
 */
export function coseSign1Length(bytes: Uint8Array): number | undefined {
  let at = bytes[0] === 0xd2 ? 1 : 0;
  if (bytes[at++] !== 0x84) return undefined;
  for (const part of ["protected", "unprotected", "payload", "signature"]) {
    const head = bytes[at++] ?? 0;
    if (part === "unprotected") {
      if (head !== 0xa0) return undefined;
      continue;
    }
    if (head >> 5 !== 2 || (head & 31) > 26) return undefined;
    const width = (head & 31) < 24 ? 0 : 1 << ((head & 31) - 24);
    let length = width === 0 ? head & 31 : 0;
    for (let i = 0; i < width; i++) length = length * 256 + (bytes[at++] ?? 0);
    at += length;
  }
  return at <= bytes.length ? at : undefined;
}

/** The key decides which algorithm counts; the header may only agree. */
export async function verifyCoseSign1(
  crypto: Crypto,
  message: CoseSign1,
  spki: Uint8Array,
): Promise<boolean> {
  if (keyAlgorithm(spki) !== message.algorithm) return false;
  return await crypto.verify(message.algorithm, spki, message.signature, message.signed);
}

function signedOf(protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array {
  return encodeCbor(["Signature1", protectedHeader, new Uint8Array(0), payload]);
}

/**
 * An EC public key as SEC 1 point (uncompressed) or COSE_Key (RFC 9053 section 7.1), as SPKI.
 * @throws AttestationError `malformed`.
 */
export function ecKeyOf(what: string, bytes: Uint8Array): Uint8Array {
  if (bytes[0] === 0x04 && (bytes.length === 65 || bytes.length === 97)) {
    const half = (bytes.length - 1) / 2;
    const algorithm = half === 32 ? "ES256" : "ES384";
    return spkiOf(algorithm, bytes.subarray(1, 1 + half), bytes.subarray(1 + half));
  }
  const key = decodeTolerant(what, bytes, { maxBytes: 512, maxDepth: 2, maxValues: 32 });
  if (!(key instanceof Map) || key.get(1) !== 2) fail(what, "is not an EC2 key");
  const curve = { 1: "ES256", 2: "ES384" }[Number(key.get(-1))] as "ES256" | "ES384" | undefined;
  if (curve === undefined) fail(what, "is on a curve that is not accepted");
  const size = curve === "ES256" ? 32 : 48;
  const x = bytesOf(`${what}: x`, key.get(-2), size, size);
  const y = bytesOf(`${what}: y`, key.get(-3), size, size);
  return spkiOf(curve, x, y);
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} ${reason}.`);
}
