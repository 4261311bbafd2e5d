/** What each TEE can carry of the 64-byte binding. One table, so that no verifier has its own. */
import type { Crypto } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import type { EvidenceType } from "./evidence.ts";

/** A binding is SHA-512: 64 bytes. */
export const bindingBytes = 64;

/** How a report-data field holds a binding. */
export type ReportDataField = "binding" | "sha-256";

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
  // Not in a report of the hardware's, which holds none: signed with the key that the owner injected at launch.
  sev: "binding",
  "sev-es": "binding",
};

/**
 * The whole report-data field that evidence of this type must carry for a binding.
 * @param binding 64 bytes.
 * @throws AttestationError `malformed` for another length.
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
    default:
      return field satisfies never;
  }
}
