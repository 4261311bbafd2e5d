/** Every verifier of this version. */
import type { Verifier } from "@vivarium/attestation";
import { ccaVerifier } from "@vivarium/attestation/cca";
import { csvVerifier } from "@vivarium/attestation/csv";
import { nitroVerifier } from "@vivarium/attestation/nitro";
import { sgxVerifier } from "@vivarium/attestation/sgx";
import { simulatedVerifier } from "@vivarium/attestation/simulated";
import { snpVerifier } from "@vivarium/attestation/snp";
import { tdxVerifier } from "@vivarium/attestation/tdx";
import { tpmVerifier } from "@vivarium/attestation/tpm";
import { azureVtpmVerifier } from "@vivarium/attestation/vtpm";

/** @param anchors roots to trust instead of the vendors': DER, or Hygon's binary form. */
export function verifiersFor(anchors?: readonly Uint8Array[]): readonly Verifier[] {
  const options = anchors === undefined ? {} : { anchors };
  return [
    sgxVerifier(options),
    tdxVerifier(options),
    snpVerifier(options),
    csvVerifier(options),
    nitroVerifier(options),
    ccaVerifier(),
    tpmVerifier(options),
    azureVtpmVerifier({ tee: snpVerifier(options) }),
    azureVtpmVerifier({ tee: tdxVerifier(options) }),
    simulatedVerifier(),
  ];
}
