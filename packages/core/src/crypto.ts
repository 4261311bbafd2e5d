/**
 * The cryptography that verifiers need, as a parameter, so that the same code runs in Node
 * (`@vivarium/core/node`) and in browsers (`@vivarium/core/web`). Asynchronous, as WebCrypto is.
 */
import { CoreError } from "./errors.ts";

export type HashName = "SHA-256" | "SHA-384" | "SHA-512";

/**
 * Signature algorithms by their JOSE names (RFC 7518, RFC 8037, RFC 9864 Ed25519). ECDSA signatures
 * are `r ‖ s` (IEEE P1363), as in COSE and JOSE, not DER.
 */
export type SignatureAlgorithm =
  | "ES256"
  | "ES384"
  | "ES512"
  | "EdDSA"
  | "PS256"
  | "PS384"
  | "PS512"
  | "RS256"
  | "RS384"
  | "RS512";

/** Algorithms we make keys for ourselves. */
export type SigningAlgorithm = "ES256" | "ES384" | "EdDSA";

/** A private key as a handle: it signs, and does not show itself. */
export interface Signer {
  readonly algorithm: SigningAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  sign(data: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
}

export interface Crypto {
  /** Which implementation this is, for logs: `node:crypto` or `webcrypto+noble`. */
  readonly name: string;
  digest(hash: HashName, data: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  hmac(hash: HashName, key: Uint8Array, data: Uint8Array): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * RFC 5869 extract-and-expand. @param length bytes of output, 1 to 255 hash lengths.
   * @throws CoreError `invalid-argument` for another length.
   */
  hkdf(
    hash: HashName,
    secret: Uint8Array,
    salt: Uint8Array,
    info: Uint8Array,
    length: number,
  ): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * True only if the signature verifies and the key is of the algorithm's kind and curve. Malformed
   * keys and signatures give false, never an exception: a verifier must not be stopped by a peer.
   * @param publicKey SubjectPublicKeyInfo, DER.
   */
  verify(
    algorithm: SignatureAlgorithm,
    publicKey: Uint8Array,
    signature: Uint8Array,
    data: Uint8Array,
  ): Promise<boolean>;
  /** A fresh key that cannot be exported. */
  generateSigner(algorithm: SigningAlgorithm): Promise<Signer>;
  /** A fresh key as PKCS #8 DER, for identities and development roots that live in a file. */
  generatePrivateKey(algorithm: SigningAlgorithm): Promise<Uint8Array<ArrayBuffer>>;
  /** @param pkcs8 PKCS #8 DER. @throws CoreError `malformed` for another kind of key. */
  importSigner(algorithm: SigningAlgorithm, pkcs8: Uint8Array): Promise<Signer>;
}

/** The same bound, and the same error, in every implementation. */
export function requireHkdfLength(hash: HashName, length: number): void {
  const most = (255 * Number(hash.slice(4))) / 8;
  if (!Number.isInteger(length) || length < 1 || length > most) {
    throw new CoreError("invalid-argument", `HKDF gives 1 to ${most} bytes, not ${length}.`);
  }
}
