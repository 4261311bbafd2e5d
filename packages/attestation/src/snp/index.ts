/** AMD SEV-SNP: reports version 2 to 5 of Milan, Genoa (Bergamo, Siena) and Turin. */
export { parseCertificates } from "./certificates.ts";
export type { SnpReport } from "./report.ts";
export { parseSnpReport } from "./report.ts";
export type { SnpVerifierOptions } from "./verifier.ts";
export { snpVerifier } from "./verifier.ts";
