/** A synthetic Arm platform: CPAK, realm key, tokens. */
import { type Crypto, concat, type Signer, toBase64Url, toHex, utf8 } from "@vivarium/core";
import { type CborValue, encodeCbor } from "../../src/cbor.ts";
import type { Attester } from "../../src/index.ts";
import { signCose } from "./cose.ts";

export interface SyntheticArm {
  readonly crypto: Crypto;
  readonly cpak: Signer;
  readonly collateral: Readonly<Record<string, Uint8Array>>;
}

export interface CcaLies {
  readonly lifecycle?: number;
  readonly platformProfile?: string;
  readonly realmProfile?: string;
  /** A platform token of another realm. */
  readonly unbound?: boolean;
  readonly platformSigner?: Signer;
  readonly realmSigner?: Signer;
  readonly coseKey?: boolean;
  readonly challengeBytes?: number;
}

export const implementationId: Uint8Array = new Uint8Array(32).fill(0x1d);
export const instanceId: Uint8Array = new Uint8Array(33).fill(0x01);
const filled = (n: number, value: number): Uint8Array => new Uint8Array(n).fill(value);

export async function syntheticArm(
  crypto: Crypto,
  algorithm: "ES256" | "ES384" = "ES384",
): Promise<SyntheticArm> {
  const cpak = await crypto.generateSigner(algorithm);
  const point = cpak.publicKey.subarray(algorithm === "ES384" ? 24 : 27);
  const half = point.length / 2;
  const anchor = {
    pkey: {
      kty: "EC",
      crv: algorithm === "ES384" ? "P-384" : "P-256",
      x: toBase64Url(point.subarray(0, half)),
      y: toBase64Url(point.subarray(half)),
    },
    "implementation-id": toHex(implementationId),
    "instance-id": toHex(instanceId),
  };
  return { crypto, cpak, collateral: { "trust-anchors": utf8(JSON.stringify([anchor])) } };
}

export async function makeToken(
  arm: SyntheticArm,
  challenge: Uint8Array,
  lies: CcaLies = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { crypto, cpak } = arm;
  const realm = await crypto.generateSigner("ES384");
  const point = realm.publicKey.subarray(24);
  const key =
    lies.coseKey === true
      ? encodeCbor(
          new Map<number, CborValue>([
            [1, 2],
            [-1, 2],
            [-2, point.subarray(0, 48)],
            [-3, point.subarray(48)],
          ]),
        )
      : concat(Uint8Array.of(4), point);
  const realmClaims = new Map<number, CborValue>([
    [10, challenge.subarray(0, lies.challengeBytes ?? 64)],
    [44_235, filled(64, 0x70)],
    [44_236, "sha-256"],
    [44_237, key],
    [44_238, filled(32, 0x71)],
    [44_239, [1, 2, 3, 4].map((i) => filled(32, i))],
    [44_240, "sha-512"],
    ...(lies.realmProfile === undefined ? [] : [[265, lies.realmProfile] as const]),
  ]);
  const bound = await crypto.digest("SHA-512", lies.unbound === true ? filled(1, 0) : key);
  const platformClaims = new Map<number, CborValue>([
    [10, bound],
    [256, instanceId],
    [265, lies.platformProfile ?? "http://arm.com/CCA-SSD/1.0.0"],
    [2395, lies.lifecycle ?? 0x3003],
    [2396, implementationId],
    [
      2399,
      [
        new Map<number, CborValue>([
          [1, "BL"],
          [2, filled(32, 0xb1)],
          [4, "1.0"],
          [5, filled(32, 0x51)],
        ]),
      ],
    ],
    [2401, filled(3, 1)],
    [2402, "sha-256"],
  ]);
  const collection = new Map<number, CborValue>([
    [44_234, await signCose(lies.platformSigner ?? cpak, encodeCbor(platformClaims))],
    [44_241, await signCose(lies.realmSigner ?? realm, encodeCbor(realmClaims))],
  ]);
  return concat(Uint8Array.of(0xd9, 0x01, 0x8f), encodeCbor(collection));
}

export function ccaAttester(arm: SyntheticArm, debug: boolean): Attester {
  return {
    type: "cca",
    collect: async (binding) => ({
      type: "cca",
      bytes: await makeToken(arm, binding, debug ? { lifecycle: 0x4003 } : {}),
      attachments: {},
    }),
  };
}
