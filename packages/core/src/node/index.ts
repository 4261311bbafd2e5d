/** {@link Crypto} on `node:crypto` (OpenSSL). */
import {
  constants,
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  hash as oneShot,
  sign,
  verify,
} from "node:crypto";
import type { Crypto, HashName, SignatureAlgorithm, Signer, SigningAlgorithm } from "../crypto.ts";
import { requireHkdfLength } from "../crypto.ts";
import { CoreError } from "../errors.ts";
import { keyOfSpki } from "../spki.ts";

const hashes: Readonly<Record<HashName, string>> = {
  "SHA-256": "sha256",
  "SHA-384": "sha384",
  "SHA-512": "sha512",
};

/** What a key must be for an algorithm: an RSA key must never be taken for an EC one. */
const curves: Readonly<Partial<Record<SignatureAlgorithm, string>>> = {
  ES256: "prime256v1",
  ES384: "secp384r1",
  ES512: "secp521r1",
};

const bytes = (data: Uint8Array | ArrayBuffer): Uint8Array<ArrayBuffer> => new Uint8Array(data);

/** The default implementation in Node. */
export function nodeCrypto(): Crypto {
  const parse = keyParser();
  return {
    name: "node:crypto",
    digest: async (hash, data) => bytes(oneShot(hashes[hash], data, "buffer")),
    hmac: async (hash, key, data) => bytes(createHmac(hashes[hash], key).update(data).digest()),
    hkdf: async (hash, secret, salt, info, length) => {
      requireHkdfLength(hash, length);
      return bytes(hkdfSync(hashes[hash], secret, salt, info, length));
    },
    verify: async (algorithm, publicKey, signature, data) => {
      try {
        const key = keyOfSpki(algorithm, publicKey) && parse(publicKey);
        if (key === undefined || !keyFits(algorithm, key)) return false;
        return verifyWith(algorithm, key, signature, data);
      } catch {
        return false;
      }
    },
    generateSigner: async (algorithm) => signer(algorithm, generate(algorithm)),
    generatePrivateKey: async (algorithm) =>
      bytes(generate(algorithm).export({ format: "der", type: "pkcs8" })),
    importSigner: async (algorithm, pkcs8) => {
      let key: KeyObject;
      try {
        key = createPrivateKey({ key: Buffer.from(pkcs8), format: "der", type: "pkcs8" });
      } catch (cause) {
        throw new CoreError("malformed", "Not a PKCS #8 private key.", { cause });
      }
      if (!keyFits(algorithm, key)) {
        throw new CoreError("malformed", `The private key is not of the kind ${algorithm} needs.`);
      }
      return signer(algorithm, key);
    },
  };
}

/** Parsed keys that are kept: parsing costs about as much as verifying, and keys come back. */
const maxParsedKeys = 256;

/** @throws for what is not a SubjectPublicKeyInfo. */
function keyParser(): (spki: Uint8Array) => KeyObject {
  const known = new Map<string, KeyObject>();
  return (spki) => {
    const key = Buffer.from(spki);
    const name = key.toString("latin1");
    const parsed = known.get(name) ?? createPublicKey({ key, format: "der", type: "spki" });
    known.delete(name);
    // The least recently used goes: a stream of strangers' keys must not grow it.
    if (known.size >= maxParsedKeys) known.delete(known.keys().next().value as string);
    known.set(name, parsed);
    return parsed;
  };
}

function keyFits(algorithm: SignatureAlgorithm, key: KeyObject): boolean {
  const curve = curves[algorithm];
  if (curve !== undefined) {
    return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === curve;
  }
  if (algorithm === "EdDSA") return key.asymmetricKeyType === "ed25519";
  return key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
}

function hashOf(algorithm: SignatureAlgorithm): string | null {
  return algorithm === "EdDSA" ? null : `sha${algorithm.slice(2)}`;
}

function verifyWith(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
  signature: Uint8Array,
  data: Uint8Array,
): boolean {
  const options = algorithm.startsWith("PS")
    ? {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      }
    : { key, dsaEncoding: "ieee-p1363" as const };
  return verify(hashOf(algorithm), data, options, signature);
}

function generate(algorithm: SigningAlgorithm): KeyObject {
  if (algorithm === "EdDSA") return generateKeyPairSync("ed25519").privateKey;
  return generateKeyPairSync("ec", { namedCurve: curves[algorithm] as string }).privateKey;
}

function signer(algorithm: SigningAlgorithm, key: KeyObject): Signer {
  return {
    algorithm,
    // DER, not JWK: exporting generated public keys as JWK in a loop deadlocks on Node 20.
    publicKey: bytes(createPublicKey(key).export({ format: "der", type: "spki" })),
    sign: async (data) => bytes(sign(hashOf(algorithm), data, { key, dsaEncoding: "ieee-p1363" })),
  };
}
