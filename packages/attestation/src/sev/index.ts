/** AMD SEV and SEV-ES: the platform's certificates, the owner's side of a launch, and evidence of the guest. */
export type { SevAdmission, SevAdmissionInput } from "./admit.ts";
export { admitSevGuest, sevSecretGuid } from "./admit.ts";
export type { SevAuthority, SevCertificate } from "./certificate.ts";
export { parseSevAuthority, parseSevCertificate } from "./certificate.ts";
export { openSevSecret, sevAttester } from "./evidence.ts";
export type { SevLaunchStatement } from "./launch.ts";
export { maxSevLaunchMs, signSevLaunch } from "./launch.ts";
export type { SevPlatformInput, VerifiedSevPlatform } from "./platform.ts";
export { verifySevPlatform } from "./platform.ts";
export type { SevType } from "./policy.ts";
export { sevPolicy, sevTypeOf } from "./policy.ts";
export type { LaunchMeasureInput, LaunchSecret, SevFirmware } from "./secret.ts";
export { launchMeasure, sealLaunchSecret } from "./secret.ts";
export type { SevSession, SevSessionOptions, SevTransportKeys } from "./session.ts";
export { createSevSession } from "./session.ts";
export { sevVerifier } from "./verifier.ts";
