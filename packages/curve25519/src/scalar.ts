/** Fresh scalars as handles. */
import { createPrivateKey } from "node:crypto";
import type { Random } from "@vivarium/core";
import type { ScalarKey } from "./engine.ts";
import { Curve25519Error } from "./errors.ts";

/** PrivateKeyInfo of an X25519 key up to its 32 bytes (RFC 8410 section 7). */
const pkcs8Prefix = Uint8Array.of(
  ...[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20,
  ],
);

/** A scalar of 32 random bytes; X25519 clamps it at use (RFC 7748 section 5). */
export function freshScalar(random: Random): ScalarKey {
  const bytes = random.bytes(32);
  try {
    return scalarFromBytes(bytes);
  } finally {
    bytes.fill(0);
  }
}

/** A scalar of given bytes: for known answers. The caller wipes `bytes`. */
export function scalarFromBytes(bytes: Uint8Array): ScalarKey {
  if (bytes.length !== 32) {
    throw new Curve25519Error("invalid-argument", "A scalar has 32 bytes.");
  }
  const der = Buffer.alloc(pkcs8Prefix.length + 32);
  try {
    der.set(pkcs8Prefix);
    der.set(bytes, pkcs8Prefix.length);
    return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  } finally {
    der.fill(0);
  }
}

/** Order of the prime-order subgroup (RFC 7748 section 4.1). */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;

/**
 * A scalar with another that undoes it: [inverse][scalar]P = P for P of prime order. Both are clamped, so
 * that every engine takes them; about every second scalar has such an inverse, and others are drawn again.
 */
export function invertibleScalar(random: Random): {
  readonly scalar: ScalarKey;
  readonly inverse: ScalarKey;
} {
  for (;;) {
    const bytes = random.bytes(32);
    const blind = random.bytes(32);
    try {
      bytes[0] = (bytes[0] as number) & 0xf8;
      bytes[31] = ((bytes[31] as number) & 0x7f) | 0x40;
      const inverse = clampedInverse(littleEndian(bytes), littleEndian(blind) % order);
      if (inverse === undefined) continue;
      try {
        return { scalar: scalarFromBytes(bytes), inverse: scalarFromBytes(inverse) };
      } finally {
        inverse.fill(0);
      }
    } finally {
      bytes.fill(0);
      blind.fill(0);
    }
  }
}

/** Blinded: the time of the inversion, in BigInt, is that of another number. */
function clampedInverse(scalar: bigint, blind: bigint): Uint8Array<ArrayBuffer> | undefined {
  if (blind === 0n) return undefined;
  const inverse = (power((scalar * blind) % order, order - 2n) * blind) % order;
  // Of the representatives in [2^254, 2^255), four or so, one that is a multiple of 8.
  let candidate = inverse + ((2n ** 254n - inverse + order - 1n) / order) * order;
  for (; candidate < 2n ** 255n; candidate += order) {
    if ((candidate & 7n) !== 0n) continue;
    const out = new Uint8Array(32);
    for (let i = 0, rest = candidate; i < 32; i++, rest >>= 8n) out[i] = Number(rest & 0xffn);
    return out;
  }
  return undefined;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let bit = 255n; bit >= 0n; bit--) {
    result = (result * result) % order;
    if (((exponent >> bit) & 1n) === 1n) result = (result * base) % order;
  }
  return result;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
  return value;
}

/** @throws Curve25519Error for a handle that is not an X25519 private key. */
export function requireScalar(scalar: ScalarKey): void {
  if (scalar.type !== "private" || scalar.asymmetricKeyType !== "x25519") {
    throw new Curve25519Error("invalid-argument", "The scalar is not an X25519 private key.");
  }
}
