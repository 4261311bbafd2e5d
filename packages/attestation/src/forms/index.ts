/** Evidence and collateral in the forms of files that other software writes. */
export { mergeCollateral, readCollateralForm } from "./collateral.ts";
export { readEvidenceForm } from "./evidence.ts";
export type { Recognised } from "./recognised.ts";
