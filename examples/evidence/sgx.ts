/** Intel SGX: a genuine enclave whose platform is not up to date, and what a verifier says of it. */
import { assessEvidence } from "@vivarium/attestation";
import { readCollateralForm } from "@vivarium/attestation/forms";
import { sgxVerifier } from "@vivarium/attestation/sgx";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const evidence = {
  type: "sgx",
  bytes: vector("sgx/phala_sgx_v3_quote.bin"),
  attachments: {},
} as const;
const status = "ConfigurationAndSWHardeningNeeded";
const collateral = vector(`dcap_cases/sgx_phala_sgx_v3_quote__${status}__2025-07-04.json`);

const { accepted, tcbStatus, verified, findings } = await assessEvidence(evidence, {
  verifiers: [sgxVerifier()],
  crypto: nodeCrypto(),
  now: Date.parse("2025-07-04T10:28:44Z"),
  collateral: readCollateralForm(collateral),
});
expect("The TCB", tcbStatus, status);
expect("The verdict", accepted, false);
console.log(
  `A genuine enclave; its platform is ${tcbStatus}: ${verified?.tcb.advisories.join(", ")}.`,
);
for (const { rule, severity, expected, actual } of findings) {
  if (severity === "error") console.log(`Refused by ${rule}: expected ${expected}, got ${actual}.`);
}
