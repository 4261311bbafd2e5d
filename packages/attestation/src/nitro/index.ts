/** AWS Nitro Enclaves: attestation documents. */
export type { NitroDocument, NitroVerifierOptions } from "./verifier.ts";
export { nitroVerifier, parseNitroDocument } from "./verifier.ts";
