/** AMD SEV-SNP: a report with the certificate of its chip, and a policy's record of what was seen. */
import { assessEvidence } from "@vivarium/attestation";
import { readCollateralForm } from "@vivarium/attestation/forms";
import { referenceOf } from "@vivarium/attestation/reference";
import { snpVerifier } from "@vivarium/attestation/snp";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const bytes = vector("snp/oak_turin_v5_report.bin");
const { accepted, verified } = await assessEvidence(
  { type: "snp", bytes, attachments: {} },
  {
    verifiers: [snpVerifier()],
    crypto: nodeCrypto(),
    now: Date.parse("2026-06-20T00:00:00Z"),
    collateral: readCollateralForm(vector("snp/oak_turin_v5_vcek.der")),
  },
);
expect("The verdict", accepted, true);
if (verified === undefined) throw new Error("An accepted report is verified.");
console.log(`Turin, firmware SVN ${verified.svn["reported_tcb_snp"]}, ${verified.isolation}.`);
const reference = referenceOf(verified, {
  name: "the guest of this example",
  // No CRL was given; a strict policy must say that it does without.
  allow: ["snp.crl-absent"],
  origin: { how: "recorded", at: new Date().toISOString(), sources: [] },
});
console.log(`Measures ${reference.measurements["measurement"]?.[0]?.slice(0, 16)}…`);
