/** Roots that the user names instead of the vendors', for test sets and private PKIs. */

import { decodePem } from "@vivarium/attestation";
import { fileLimits, readText } from "../files.ts";

/** DER of each certificate of a PEM file. @throws CliError for the file; AttestationError for its content. */
export async function anchorsOf(path: string): Promise<readonly Uint8Array[]> {
  return decodePem("Root file", await readText(path, "root file", fileLimits.collateral));
}
