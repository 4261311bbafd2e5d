/** Public keys as SubjectPublicKeyInfo DER: which algorithm they are for, and what names them. */
import {
  type Crypto,
  concat,
  equalBytes,
  fromHex,
  type SigningAlgorithm,
  toHex,
} from "@vivarium/core";
import { AttestationError } from "./errors.ts";

interface KeyKind {
  readonly algorithm: SigningAlgorithm;
  /** Everything before the point, for the only encoding accepted (RFC 5480, RFC 8410). */
  readonly prefix: Uint8Array<ArrayBuffer>;
  readonly pointBytes: number;
}

const kinds: readonly KeyKind[] = [
  {
    algorithm: "ES256",
    prefix: fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
    pointBytes: 64,
  },
  {
    algorithm: "ES384",
    prefix: fromHex("3076301006072a8648ce3d020106052b8104002203620004"),
    pointBytes: 96,
  },
  { algorithm: "EdDSA", prefix: fromHex("302a300506032b6570032100"), pointBytes: 32 },
];

/** `sha256:` and the digest of the key in lower-case hex: how people and policies name a key. */
export async function fingerprint(crypto: Crypto, spki: Uint8Array): Promise<string> {
  return `sha256:${toHex(await crypto.digest("SHA-256", spki))}`;
}

function kindOf(spki: Uint8Array): KeyKind {
  // One encoding per key: another form of the same key would have another fingerprint.
  for (const kind of kinds) {
    const { prefix, pointBytes } = kind;
    if (
      spki.length === prefix.length + pointBytes &&
      equalBytes(spki.subarray(0, prefix.length), prefix)
    ) {
      return kind;
    }
  }
  throw new AttestationError(
    "malformed",
    "A public key is not SPKI DER of P-256, P-384 or Ed25519.",
  );
}

/**
 * The algorithm follows from the key, never from what a message says of itself.
 * @throws AttestationError `malformed` for other kinds of key.
 */
export function keyAlgorithm(spki: Uint8Array): SigningAlgorithm {
  return kindOf(spki).algorithm;
}

/** The point of a key without its DER prefix (for JWKs): x, or x and y. */
export function keyPoint(spki: Uint8Array): Uint8Array {
  return spki.subarray(kindOf(spki).prefix.length);
}

/** @throws AttestationError `malformed` if the point does not have the length of its kind. */
export function spkiOf(algorithm: SigningAlgorithm, ...point: readonly Uint8Array[]): Uint8Array {
  const kind = kinds.find((known) => known.algorithm === algorithm);
  const spki = concat(kind?.prefix ?? new Uint8Array(0), ...point);
  if (
    kindOf(spki).algorithm !== algorithm ||
    point.some(({ length }) => length !== point[0]?.length)
  ) {
    throw new AttestationError("malformed", "A point does not have the length of its curve.");
  }
  return spki;
}
