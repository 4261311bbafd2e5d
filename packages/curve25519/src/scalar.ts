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

/** @throws Curve25519Error for a handle that is not an X25519 private key. */
export function requireScalar(scalar: ScalarKey): void {
  if (scalar.type !== "private" || scalar.asymmetricKeyType !== "x25519") {
    throw new Curve25519Error("invalid-argument", "The scalar is not an X25519 private key.");
  }
}
