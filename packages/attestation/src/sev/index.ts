/** AMD SEV and SEV-ES: the platform's certificates. */
export type { SevAuthority, SevCertificate } from "./certificate.ts";
export { parseSevAuthority, parseSevCertificate } from "./certificate.ts";
export type { SevPlatformInput, VerifiedSevPlatform } from "./platform.ts";
export { verifySevPlatform } from "./platform.ts";
