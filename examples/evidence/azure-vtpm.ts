/** Azure's confidential vTPM on TDX: the TEE's quote vouches for the vTPM's key, the key for the PCRs. */
import { assessEvidence } from "@vivarium/attestation";
import { readCollateralForm, readEvidenceForm } from "@vivarium/attestation/forms";
import { tdxVerifier } from "@vivarium/attestation/tdx";
import { azureVtpmVerifier } from "@vivarium/attestation/vtpm";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const { evidence } = readEvidenceForm(vector("vtpm/az-tdx/ars_live-evidence.json"));
const collateral = vector("dcap_cases/vtpm_az-tdx_td-quote-ars-live__UpToDate__2026-03-18.json");

const { accepted, tcbStatus, verified } = await assessEvidence(evidence, {
  verifiers: [azureVtpmVerifier({ tee: tdxVerifier() })],
  crypto: nodeCrypto(),
  now: Date.parse("2026-03-18T16:38:10Z"),
  collateral: readCollateralForm(collateral),
});
expect("The verdict", accepted, true);
expect("The TCB", tcbStatus, "UpToDate");
const names = Object.keys(verified?.measurements ?? {});
console.log(`One verdict over TEE and vTPM; a policy can pin ${names.length} measurements:`);
console.log(names.join(" "));
