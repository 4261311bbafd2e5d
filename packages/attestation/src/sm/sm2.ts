/** SM2 signatures (GB/T 32918.2-2016) over the recommended curve of GB/T 32918.5-2017. */
import { weierstrass } from "@noble/curves/abstract/weierstrass.js";
import { concat, fromHex, toHex } from "@vivarium/core";
import { sm3 } from "./sm3.ts";

const hex = {
  p: "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff",
  a: "fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc",
  b: "28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93",
  n: "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123",
  gx: "32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7",
  gy: "bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0",
} as const;
const number = (digits: string): bigint => BigInt(`0x${digits}`);

/** The curve, for tests that sign; the cofactor is 1, so a point on it is in the group. */
export const sm2Curve: ReturnType<typeof weierstrass<bigint>> = weierstrass<bigint>({
  p: number(hex.p),
  n: number(hex.n),
  h: 1n,
  a: number(hex.a),
  b: number(hex.b),
  Gx: number(hex.gx),
  Gy: number(hex.gy),
});

/** A public key, coordinates of 32 bytes each, big-endian. */
export interface Sm2PublicKey {
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

const maxUserId = 8191;

/** e = SM3(Z ‖ M), with Z over user id, curve and key (section 5.5). */
export function sm2Digest(key: Sm2PublicKey, userId: Uint8Array, message: Uint8Array): Uint8Array {
  const bits = userId.length * 8;
  const length = Uint8Array.of(bits >> 8, bits & 0xff);
  const curve = fromHex(hex.a + hex.b + hex.gx + hex.gy);
  const z = sm3(concat(length, userId, curve, key.x, key.y));
  return sm3(concat(z, message));
}

/**
 * @param r, s 32 bytes each, big-endian.
 * @param userId of the *signer*: it is part of what is signed.
 * @returns false for malformed keys and signatures; never an exception.
 */
export function verifySm2(
  key: Sm2PublicKey,
  userId: Uint8Array,
  message: Uint8Array,
  signature: { readonly r: Uint8Array; readonly s: Uint8Array },
): boolean {
  const n = number(hex.n);
  const r = number(toHex(signature.r));
  const s = number(toHex(signature.s));
  const inRange = r > 0n && r < n && s > 0n && s < n;
  if (!inRange || userId.length > maxUserId || key.x.length !== 32 || key.y.length !== 32) {
    return false;
  }
  const t = (r + s) % n;
  if (t === 0n) return false;
  try {
    const point = sm2Curve.fromAffine({ x: number(toHex(key.x)), y: number(toHex(key.y)) });
    // Also refuses coordinates over p and points of other curves.
    point.assertValidity();
    const sum = sm2Curve.BASE.multiplyUnsafe(s).add(point.multiplyUnsafe(t));
    if (sum.is0()) return false;
    const e = number(toHex(sm2Digest(key, userId, message)));
    return (e + sum.toAffine().x) % n === r;
  } catch {
    return false;
  }
}
