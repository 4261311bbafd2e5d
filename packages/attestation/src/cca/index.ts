/** Arm CCA: realm and platform tokens of both published profiles. */
export type { CcaToken } from "./token.ts";
export { parseCcaToken } from "./token.ts";
export { ccaVerifier } from "./verifier.ts";
