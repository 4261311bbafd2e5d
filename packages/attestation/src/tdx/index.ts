/** Intel TDX 1.0 and 1.5: quotes of DCAP versions 4 and 5 with a TD report. */
export type { TdReport, TdxQuote } from "../dcap/quote.ts";
export { parseQuote } from "../dcap/quote.ts";
export type { TdxVerifierOptions } from "./verifier.ts";
export { tdxVerifier } from "./verifier.ts";
