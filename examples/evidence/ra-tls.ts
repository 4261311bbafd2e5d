/** RA-TLS: what a certificate of Gramine holds, and why it is refused without collateral. */
import { assessEvidence } from "@vivarium/attestation";
import { readEvidenceForm } from "@vivarium/attestation/forms";
import { raTlsVerifiers } from "@vivarium/attestation/ra-tls";
import { sgxVerifier } from "@vivarium/attestation/sgx";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const { evidence, certificate, form } = readEvidenceForm(vector("ratls/ccc-gramine-cert.pem"));
if (certificate === undefined) throw new Error("The file is a certificate.");
console.log(`${form} with evidence of type ${evidence.type}.`);

const { accepted, findings } = await assessEvidence(evidence, {
  // Evidence in a certificate must be bound to that certificate's key.
  verifiers: raTlsVerifiers(certificate, [sgxVerifier()], true),
  crypto: nodeCrypto(),
  now: Date.parse("2024-01-01T00:00:00Z"),
  collateral: {},
});
expect("The verdict", accepted, false);
const failed = findings.find(({ severity }) => severity === "error");
expect("The failed rule", failed?.rule, "dcap.collateral");
console.log(`Refused by ${failed?.rule}: expected ${failed?.expected}, got ${failed?.actual}.`);
