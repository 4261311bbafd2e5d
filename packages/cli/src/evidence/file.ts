/** Evidence in files: the same envelope that crosses a channel. */
import { decodeEvidence, type Evidence } from "@vivarium/attestation";
import { fileLimits, readBounded } from "../files.ts";

/** @throws CliError for the file; AttestationError `malformed` or `unknown-type` for its content. */
export async function readEvidence(path: string): Promise<Evidence> {
  return decodeEvidence(await readBounded(path, "evidence file", fileLimits.evidence));
}
