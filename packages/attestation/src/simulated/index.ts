/** Attestation without hardware: an attester and a verifier with a development root. */
export type { SimulatedAttesterOptions } from "./attester.ts";
export { simulatedAttester } from "./attester.ts";
export type { SimulatedPolicyOptions } from "./policy.ts";
export { simulatedPolicy } from "./policy.ts";
export { simulatedProfile } from "./token.ts";
export { simulatedVerifier } from "./verifier.ts";
