/**
 * Arm CCA attestation tokens: a platform token and a realm token, tied together. Source: RMM
 * specification DEN0137 (CCA attestation), draft-ffm-rats-cca-token, RFC 9711 (EAT).
 */
import { arrayOf, bytesOf, type CborValue, decodeCbor, integerOf, textOf } from "../cbor.ts";
import { decodeTolerant } from "../cbor-tolerant.ts";
import { type CoseSign1, ecKeyOf, parseCoseSign1 } from "../cose.ts";
import { AttestationError } from "../errors.ts";

/** Profiles: the first realm tokens had none of their own. */
export const ccaProfiles = {
  platform: ["http://arm.com/CCA-SSD/1.0.0", "tag:arm.com,2023:cca_platform#1.0.0"],
  realm: [undefined, "tag:arm.com,2023:realm#1.0.0"],
} as const;

export interface SoftwareComponent {
  readonly type: string | undefined;
  readonly measurement: Uint8Array;
  readonly version: string | undefined;
  readonly signerId: Uint8Array;
  readonly hash: string | undefined;
}

export interface PlatformClaims {
  readonly profile: string;
  readonly challenge: Uint8Array;
  readonly implementationId: Uint8Array;
  readonly instanceId: Uint8Array;
  readonly config: Uint8Array;
  readonly lifecycle: number;
  readonly components: readonly SoftwareComponent[];
  readonly service: string | undefined;
  readonly hash: string;
}

export interface RealmClaims {
  readonly profile: string | undefined;
  readonly challenge: Uint8Array;
  readonly personalization: Uint8Array;
  readonly hash: string;
  /** As in the claim: these bytes are what the platform's challenge is the hash of. */
  readonly key: Uint8Array;
  readonly keySpki: Uint8Array;
  readonly keyHash: string;
  readonly rim: Uint8Array;
  readonly rem: readonly Uint8Array[];
}

export interface CcaToken {
  readonly platform: { readonly message: CoseSign1; readonly claims: PlatformClaims };
  readonly realm: { readonly message: CoseSign1; readonly claims: RealmClaims };
}

const maxBytes = 64 * 1024;
const claimLimits = { maxBytes, maxDepth: 4, maxValues: 512 };
const member = { platform: 44_234, realm: 44_241 } as const;
const key = {
  challenge: 10,
  profile: 265,
  instanceId: 256,
  lifecycle: 2395,
  implementationId: 2396,
  components: 2399,
  service: 2400,
  config: 2401,
  platformHash: 2402,
  personalization: 44_235,
  realmHash: 44_236,
  realmKey: 44_237,
  rim: 44_238,
  rem: 44_239,
  realmKeyHash: 44_240,
} as const;
const hashName = /^(?:sha-256|sha-384|sha-512)$/;
const anyText = /^[\x20-\x7e]{1,256}$/;

/** @throws AttestationError `malformed`. */
export function parseCcaToken(bytes: Uint8Array): CcaToken {
  // Tag 399: nothing of the outer layer is signed, so it has one encoding only.
  if (bytes[0] !== 0xd9 || bytes[1] !== 0x01 || bytes[2] !== 0x8f) {
    throw new AttestationError("malformed", "A CCA token begins with CBOR tag 399.");
  }
  const outer = { maxBytes, maxDepth: 1, maxValues: 8 };
  const collection = decodeCbor("CCA token", bytes.subarray(3), outer);
  if (!(collection instanceof Map) || collection.size !== 2) {
    throw new AttestationError("malformed", "A CCA token holds a platform and a realm token.");
  }
  const part = (name: keyof typeof member): CoseSign1 => {
    const what = `CCA ${name} token`;
    const token = bytesOf(what, collection.get(member[name]), 1, maxBytes);
    // Untagged would be a second encoding of the same token.
    if (token[0] !== 0xd2) throw new AttestationError("malformed", `The ${what} is not tagged.`);
    return parseCoseSign1(what, token);
  };
  const platform = part("platform");
  const realm = part("realm");
  return {
    platform: { message: platform, claims: platformClaims(platform.payload) },
    realm: { message: realm, claims: realmClaims(realm.payload) },
  };
}

function claimsIn(what: string, payload: Uint8Array): ReadonlyMap<string | number, CborValue> {
  const claims = decodeTolerant(what, payload, claimLimits);
  if (!(claims instanceof Map)) throw new AttestationError("malformed", `${what} are not a map.`);
  return claims;
}

function optionalText(what: string, value: CborValue | undefined): string | undefined {
  return value === undefined ? undefined : textOf(what, value, anyText);
}

function platformClaims(payload: Uint8Array): PlatformClaims {
  const claims = claimsIn("CCA platform claims", payload);
  return {
    profile: textOf("Platform profile", claims.get(key.profile), anyText),
    challenge: bytesOf("Platform challenge", claims.get(key.challenge), 32, 64),
    implementationId: bytesOf("Implementation id", claims.get(key.implementationId), 32, 32),
    instanceId: bytesOf("Instance id", claims.get(key.instanceId), 33, 33),
    config: bytesOf("Platform config", claims.get(key.config), 1, 1024),
    lifecycle: integerOf("Lifecycle", claims.get(key.lifecycle), 0, 0xffff),
    components: arrayOf("Software components", claims.get(key.components), 64).map(component),
    service: optionalText("Verification service", claims.get(key.service)),
    hash: textOf("Platform hash", claims.get(key.platformHash), hashName),
  };
}

function component(value: CborValue): SoftwareComponent {
  if (!(value instanceof Map)) {
    throw new AttestationError("malformed", "A software component is not a map.");
  }
  return {
    type: optionalText("Component type", value.get(1)),
    measurement: bytesOf("Component measurement", value.get(2), 32, 64),
    version: optionalText("Component version", value.get(4)),
    signerId: bytesOf("Component signer", value.get(5), 32, 64),
    hash: optionalText("Component hash", value.get(6)),
  };
}

function realmClaims(payload: Uint8Array): RealmClaims {
  const claims = claimsIn("CCA realm claims", payload);
  const keyBytes = bytesOf("Realm key", claims.get(key.realmKey), 65, 512);
  const measurement = (value: CborValue | undefined): Uint8Array =>
    bytesOf("Realm measurement", value, 32, 64);
  const rem = arrayOf("Extensible measurements", claims.get(key.rem), 4).map(measurement);
  if (rem.length !== 4) throw new AttestationError("malformed", "A realm has four REMs.");
  return {
    profile: optionalText("Realm profile", claims.get(key.profile)),
    challenge: bytesOf("Realm challenge", claims.get(key.challenge), 64, 64),
    personalization: bytesOf("Personalization value", claims.get(key.personalization), 64, 64),
    hash: textOf("Realm hash", claims.get(key.realmHash), hashName),
    key: keyBytes,
    keySpki: ecKeyOf("Realm key", keyBytes),
    keyHash: textOf("Hash of the realm key", claims.get(key.realmKeyHash), hashName),
    rim: measurement(claims.get(key.rim)),
    rem,
  };
}
