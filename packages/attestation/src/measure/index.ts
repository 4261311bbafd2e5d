/** What evidence must measure, computed from what a guest is launched with or from its event log. */
export type { Firmware, FirmwareSection } from "./firmware.ts";
export { parseFirmware } from "./firmware.ts";
export type { DirectBoot } from "./hashes.ts";
export type { SevEsLaunch, SevLaunch, SnpLaunch } from "./launch.ts";
export {
  sevEsLaunchDigest,
  sevLaunchDigest,
  snpFirmwareDigest,
  snpLaunchDigest,
} from "./launch.ts";
export { measureLimits } from "./limits.ts";
export type { LogBank, LogMeasurements } from "./registers.ts";
export { pcrsOfLog, rtmrsOfLog } from "./registers.ts";
export type { Machine } from "./vmsa.ts";
export { cpuSignature, cpuSignatures } from "./vmsa.ts";
