/** TPM 2.0: quotes, and the container they travel in. */
import { parseTpmPublic } from "./structures.ts";

export type { PcrBanks, TpmEvidence } from "./container.ts";
export { decodeTpmEvidence, encodeTpmEvidence } from "./container.ts";
export type { TpmVerifierOptions } from "./verifier.ts";
export { tpmVerifier } from "./verifier.ts";

/** SubjectPublicKeyInfo of a TPMT_PUBLIC. @throws AttestationError `malformed`. */
export function tpmPublicKey(area: Uint8Array): Uint8Array {
  return parseTpmPublic(area).spki;
}
