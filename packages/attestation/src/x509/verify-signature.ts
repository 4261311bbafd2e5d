/** Signatures over certificates and CRLs, those included that {@link Crypto} has no name for. */
import { p384 } from "@noble/curves/nist.js";
import { type Crypto, equalBytes, fromHex } from "@vivarium/core";
import type { Signed } from "./types.ts";

const p384Prefix = fromHex("3076301006072a8648ce3d020106052b8104002203620004");

/** @param spki of the issuer, DER. False for keys of another kind; never an exception. */
export async function verifySigned(
  crypto: Crypto,
  signed: Pick<Signed, "algorithm" | "signature" | "tbs">,
  spki: Uint8Array,
): Promise<boolean> {
  const { algorithm, signature, tbs } = signed;
  if (algorithm !== "P384-SHA256") return await crypto.verify(algorithm, spki, signature, tbs);
  return verifyP384(spki, signature, await crypto.digest("SHA-256", tbs));
}

/**
 * ECDSA on P-384 over a digest of any length.
 * @param signature r ‖ s, 96 bytes.
 */
export function verifyP384(spki: Uint8Array, signature: Uint8Array, digest: Uint8Array): boolean {
  const prefix = spki.subarray(0, p384Prefix.length);
  if (spki.length !== p384Prefix.length + 96 || !equalBytes(prefix, p384Prefix)) return false;
  try {
    const point = spki.subarray(p384Prefix.length - 1);
    return p384.verify(signature, digest, point, { lowS: false, prehash: false });
  } catch {
    return false;
  }
}
