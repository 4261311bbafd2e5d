/** Reference values out of a signed manifest. */
import { AttestationError } from "../errors.ts";
import { checkReferences, type ReferenceRecord } from "../reference/set.ts";
import type { VerifiedManifest } from "./manifest.ts";

/** `predicateType` of manifests whose predicate is a reference set. */
export const referencePredicate = "tag:github.com,2026:vivarium/references#1";

/**
 * The records that were signed, with the manifest's subjects as their sources: what was built, by digest.
 * @throws AttestationError `malformed` for a manifest of anything else.
 */
export function referencesOfManifest(manifest: VerifiedManifest): readonly ReferenceRecord[] {
  const { predicateType, predicate, subjects, signer } = manifest;
  if (predicateType !== referencePredicate) {
    const message = `The manifest's predicate is not of type ${referencePredicate}.`;
    throw new AttestationError("malformed", message);
  }
  const sources = [
    ...subjects.map(({ name, sha256 }) => ({ name: name === "" ? sha256 : name, sha256 })),
  ].slice(0, 32);
  const { references } = checkReferences(predicate);
  return references.map((record) => ({
    ...record,
    name: `${record.name}, signed by ${signer}`.slice(0, 200),
    origin: { how: "imported", at: record.origin.at, sources },
  }));
}
