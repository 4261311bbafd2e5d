/** Node only: the attesters of each platform, and keys in files. */
export type { AzureVtpmAttesterOptions } from "./azure.ts";
export { azureVtpmAttester } from "./azure.ts";
export type { CocoOptions } from "./coco.ts";
export { cocoAttester } from "./coco.ts";
export type { ConfigfsOptions } from "./configfs.ts";
export { configfsAttester } from "./configfs.ts";
export type { CollectorName, Detected, DetectOptions } from "./detect.ts";
export { collectorNames, defaultTpmAddress, detectAttester } from "./detect.ts";
export type { PlatformFiles } from "./files.ts";
export { platformFiles } from "./files.ts";
export type { GramineOptions } from "./gramine.ts";
export { gramineAttester } from "./gramine.ts";
export type { HelperAttesterOptions, HelperKind } from "./helper.ts";
export { buildTeeReport, helperAttester } from "./helper.ts";
export type { KeyFileKind, KeyFileOptions } from "./key-file.ts";
export { openDevelopmentRoot, openKeyFile } from "./key-file.ts";
export type { TpmAttesterOptions, TpmBank } from "./tpm/attester.ts";
export { readTpmAk, tpmAttester } from "./tpm/attester.ts";
