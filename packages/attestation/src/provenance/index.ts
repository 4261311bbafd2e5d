/** Reference values that a supply chain has signed. Node only. */
export type { ManifestSigner, VerifiedManifest, VerifyManifestOptions } from "./manifest.ts";
export { isManifest, manifestLimits, verifyManifest } from "./manifest.ts";
export { referencePredicate, referencesOfManifest } from "./references.ts";
