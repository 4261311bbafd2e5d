/** What each TEE can carry of the 64-byte binding. One table, so that no verifier has its own. */
import type { Crypto } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import type { EvidenceType } from "./evidence.ts";

/** A binding is SHA-512: 64 bytes. */
export const bindingBytes = 64;

/** How a report-data field holds a binding. `nothing`: the TEE signs no data of the guest's. */
export type ReportDataField = "binding" | "sha-256" | "nothing";

export const reportDataFields: Readonly<Record<EvidenceType, ReportDataField>> = {
  sgx: "binding",
  tdx: "binding",
  snp: "binding",
  csv: "binding",
  cca: "binding",
  nitro: "binding",
  simulated: "binding",
  // A qualifying nonce is bounded by the TPM's largest digest; SHA-256 is what every TPM 2.0 has.
  tpm: "sha-256",
  "az-snp-vtpm": "sha-256",
  "az-tdx-vtpm": "sha-256",
  sev: "nothing",
  "sev-es": "nothing",
};

/**
 * The whole report-data field that evidence of this type must carry for a binding.
 * @param binding 64 bytes.
 * @throws AttestationError `malformed` for another length; `refused-by-policy` for SEV and SEV-ES,
 * whose reports carry no data of the guest's (they are bound by a secret injected at launch).
 */
export async function reportDataFor(
  crypto: Crypto,
  type: EvidenceType,
  binding: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  if (binding.length !== bindingBytes) {
    throw new AttestationError("malformed", `A binding has ${bindingBytes} bytes.`);
  }
  const field = reportDataFields[type];
  switch (field) {
    case "binding":
      return new Uint8Array(binding);
    case "sha-256":
      return await crypto.digest("SHA-256", binding);
    case "nothing":
      throw new AttestationError(
        "refused-by-policy",
        `Evidence of ${type} carries no report data.`,
      );
    default:
      return field satisfies never;
  }
}
