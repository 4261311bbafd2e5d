/** Confidential vTPMs of Azure, on SEV-SNP and TDX. */
export type { HclReport } from "./hcl.ts";
export { parseHclReport } from "./hcl.ts";
export type { AzureVtpmOptions, VtpmParts } from "./verifier.ts";
export { azureVtpmVerifier, encodeVtpmEvidence } from "./verifier.ts";
