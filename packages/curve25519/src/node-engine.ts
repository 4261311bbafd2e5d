/** The engine of Node.js: OpenSSL's X25519 and SHA-512. */
import { createPublicKey, diffieHellman, type JsonWebKeyInput, type KeyObject } from "node:crypto";
import { type Curve25519Engine, pointBytes, requirePoints } from "./engine.ts";
import { hashBatch } from "./hash.ts";
import { lowOrder, requireHonestPoints } from "./points.ts";
import { requireScalar } from "./scalar.ts";

export const nodeEngine: Curve25519Engine = {
  name: "node",
  hashToCurve: hashBatch,
  multiply(scalar, points) {
    requireScalar(scalar);
    const n = requirePoints(points);
    requireHonestPoints(points);
    const bytes = Buffer.from(points.buffer, points.byteOffset, points.byteLength);
    const out = new Uint8Array(n * pointBytes);
    // Importing JWK is about eight times faster than DER. Keys are only ever imported that way: the
    // JWK *export* of generated public keys dead-locks Node 20.
    const key = { kty: "OKP", crv: "X25519", x: "" };
    const input: JsonWebKeyInput = { key, format: "jwk" };
    for (let i = 0; i < n; i++) {
      const at = i * pointBytes;
      key.x = bytes.toString("base64url", at, at + pointBytes);
      out.set(derive(scalar, createPublicKey(input), i), at);
    }
    return out;
  },
};

/** OpenSSL fails for an all-zero product (RFC 7748 section 6.1): a second line behind the check above. */
function derive(privateKey: KeyObject, publicKey: KeyObject, index: number): Uint8Array {
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch (cause) {
    throw lowOrder(index, cause);
  }
}
