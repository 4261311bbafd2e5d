/** Evidence and collateral in the forms of files that other software writes. */
export { encodeCollateralBundle } from "./bundle.ts";
export { mergeCollateral, readCollateralForm } from "./collateral.ts";
export type { CollateralItem } from "./describe.ts";
export { describeCollateral } from "./describe.ts";
export { readEvidenceForm } from "./evidence.ts";
export type { Recognised } from "./recognised.ts";
