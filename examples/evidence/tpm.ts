/** TPM 2.0: a quote under a key that the caller names, the PCRs it holds, and what nobody vouches for. */
import { assessEvidence } from "@vivarium/attestation";
import { readEvidenceForm } from "@vivarium/attestation/forms";
import { decodeTpmEvidence, tpmVerifier } from "@vivarium/attestation/tpm";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const { evidence } = readEvidenceForm(vector("tpm/go-tpm-tools/gce-cos-85-nonce9009.json"));
const options = {
  verifiers: [tpmVerifier()],
  crypto: nodeCrypto(),
  now: Date.parse("2022-01-01T00:00:00Z"),
};
// A quote verifies under any key: it must be one that the caller knows.
const unknown = await assessEvidence(evidence, { ...options, collateral: {} });
expect("A key that nobody knows", unknown.accepted, false);

const { ak } = decodeTpmEvidence(evidence.bytes);
const { accepted, verified } = await assessEvidence(evidence, { ...options, collateral: { ak } });
expect("A key that the caller names", accepted, true);
expect("The isolation", verified?.isolation, "none");
for (const [name, value] of Object.entries(verified?.measurements ?? {}).slice(0, 8)) {
  console.log(`${name} ${toHex(value).slice(0, 16)}…`);
}
