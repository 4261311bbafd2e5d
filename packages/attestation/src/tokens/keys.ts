/** Keys of an attestation service: JSON Web Keys (RFC 7517) that the caller pins. */
import { fromBase64Url, type SignatureAlgorithm } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { spkiOf } from "../keys.ts";
import { rsaSpki } from "../tpm/structures.ts";

export interface TokenKey {
  readonly keyId: string | undefined;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** What a key of its kind can have made; its `alg` narrows it. */
  readonly algorithms: readonly SignatureAlgorithm[];
}

const maxKeys = 64;
const rsa: readonly SignatureAlgorithm[] = [
  ...(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const),
];

/**
 * A key set, or one key. Keys of kinds that sign no tokens here are left out; one that is broken is an error.
 * @throws AttestationError `malformed`.
 */
export function parseJwks(document: unknown): readonly TokenKey[] {
  const keys = fieldOf(document, "keys") ?? [document];
  if (!Array.isArray(keys) || keys.length > maxKeys) fail("has no list of keys");
  return (keys as readonly unknown[]).flatMap((key) => {
    const parsed = keyOf(key);
    return parsed === undefined ? [] : [parsed];
  });
}

function keyOf(jwk: unknown): TokenKey | undefined {
  const use = fieldOf(jwk, "use");
  if (use !== undefined && use !== "sig") return undefined;
  const keyId = fieldOf(jwk, "kid");
  const found = publicKeyOf(jwk);
  if (found === undefined) return undefined;
  const alg = fieldOf(jwk, "alg");
  return {
    keyId: typeof keyId === "string" ? keyId : undefined,
    spki: found.spki,
    algorithms: found.algorithms.filter((name) => alg === undefined || alg === name),
  };
}

function publicKeyOf(jwk: unknown): Omit<TokenKey, "keyId"> | undefined {
  if (fieldOf(jwk, "d") !== undefined) fail("holds a private key");
  switch (fieldOf(jwk, "kty")) {
    case "EC": {
      const curve = { "P-256": "ES256", "P-384": "ES384" } as const;
      const name = curve[fieldOf(jwk, "crv") as keyof typeof curve];
      if (name === undefined) return undefined;
      return { spki: spkiOf(name, bytesOf(jwk, "x"), bytesOf(jwk, "y")), algorithms: [name] };
    }
    case "RSA":
      if (fieldOf(jwk, "e") !== "AQAB") fail("has an RSA key of another exponent than 65537");
      return { spki: rsaSpki(bytesOf(jwk, "n")), algorithms: rsa };
    default:
      return undefined;
  }
}

/** Algorithms that a key of a certificate can have made. */
export function algorithmsOfSpki(spki: Uint8Array): readonly SignatureAlgorithm[] {
  // The curve's identifier stands at the same place in each SubjectPublicKeyInfo.
  if (spki.length === 91) return ["ES256"];
  if (spki.length === 120) return ["ES384"];
  return spki.length > 256 ? rsa : [];
}

function bytesOf(jwk: unknown, name: string): Uint8Array<ArrayBuffer> {
  const text = fieldOf(jwk, name);
  try {
    return fromBase64Url(typeof text === "string" ? text : "=");
  } catch (cause) {
    throw new AttestationError("malformed", `The key set: "${name}" is not base64url.`, { cause });
  }
}

export function fieldOf(value: unknown, name: string): unknown {
  const object = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return object ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The key set ${reason}.`);
}
