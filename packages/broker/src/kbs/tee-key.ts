/** The key that an instance has made for its secrets, and encryption to it (RFC 7516). */
import { type Crypto, labels, lengthPrefixed } from "@vivarium/core";
import { FlattenedEncrypt, type FlattenedJWE, importJWK, type JWK } from "jose";
import { BrokerError } from "../errors.ts";
import { canonicalJson, isObject } from "./json.ts";

/** RSA1_5, which older clients ask for, is not among them: its padding is an oracle. */
const algorithms: Readonly<Record<string, readonly string[]>> = {
  RSA: ["RSA-OAEP", "RSA-OAEP-256"],
  EC: ["ECDH-ES+A256KW"],
};
const curves = ["P-256", "P-384"];

export interface TeeKey {
  readonly jwk: JWK;
  readonly algorithm: string;
  /** SHA-256, 32 bytes. */
  readonly digest: Uint8Array;
  encrypt(plaintext: Uint8Array): Promise<FlattenedJWE>;
}

/** @throws BrokerError `malformed` for a key of another kind or strength. */
export async function parseTeeKey(crypto: Crypto, value: unknown): Promise<TeeKey> {
  const given = isObject(value) ? value : {};
  const { kty, alg } = given;
  const fields = kty === "RSA" ? ["n", "e"] : ["crv", "x", "y"];
  const wanted = ["alg", "kty", ...fields].sort().join();
  const texts = Object.values(given).every((field) => typeof field === "string");
  const known = typeof kty === "string" && Object.hasOwn(algorithms, kty);
  if (!texts || !known || Object.keys(given).sort().join() !== wanted) {
    throw new BrokerError("malformed", "tee-pubkey is an RSA or EC key with its algorithm.");
  }
  if (!algorithms[kty]?.includes(alg as string)) {
    throw new BrokerError("malformed", `Secrets are not wrapped by ${String(alg).slice(0, 20)}.`);
  }
  if (kty === "EC" && !curves.includes(given["crv"] as string)) {
    throw new BrokerError("malformed", "tee-pubkey is on P-256 or P-384.");
  }
  const jwk = given as JWK;
  const algorithm = alg as string;
  let key: Awaited<ReturnType<typeof importJWK>>;
  try {
    key = await importJWK(jwk, algorithm);
    const { modulusLength } = (key as { algorithm: { modulusLength?: number } }).algorithm;
    if (modulusLength !== undefined && (modulusLength < 2048 || modulusLength > 8192)) {
      throw new BrokerError("malformed", "An RSA tee-pubkey has 2,048 to 8,192 bits.");
    }
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause;
    throw new BrokerError("malformed", "tee-pubkey is not a key.", { cause });
  }
  return {
    jwk,
    algorithm,
    digest: await crypto.digest("SHA-256", lengthPrefixed(labels.brokerKey, canonicalJson(given))),
    encrypt: (plaintext) =>
      new FlattenedEncrypt(plaintext)
        .setProtectedHeader({ alg: algorithm, enc: "A256GCM" })
        .encrypt(key),
  };
}
