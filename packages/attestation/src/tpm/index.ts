/** TPM 2.0: quotes, and the container they travel in. */
export type { PcrBanks, TpmEvidence } from "./container.ts";
export { decodeTpmEvidence, encodeTpmEvidence } from "./container.ts";
export type { TpmVerifierOptions } from "./verifier.ts";
export { tpmVerifier } from "./verifier.ts";
