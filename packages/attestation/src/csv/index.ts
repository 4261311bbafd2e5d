/** Hygon CSV 1, 2 and 3. */
export type { CsvReport } from "./report.ts";
export { parseCsvReport } from "./report.ts";
export type { CsvVerifierOptions } from "./verifier.ts";
export { csvVerifier } from "./verifier.ts";
