/** Intel SGX: quotes of DCAP versions 3 to 5 with an enclave report. */
export type { SgxQuote } from "../dcap/quote.ts";
export { parseQuote } from "../dcap/quote.ts";
export type { SgxVerifierOptions } from "./verifier.ts";
export { sgxVerifier } from "./verifier.ts";
