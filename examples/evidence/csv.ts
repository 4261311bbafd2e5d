/** Hygon CSV: a report with the chain of its chip, in SM2 and SM3, and what its guest policy leaves open. */
import { assessEvidence } from "@vivarium/attestation";
import { csvVerifier } from "@vivarium/attestation/csv";
import { readCollateralForm } from "@vivarium/attestation/forms";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const options = {
  verifiers: [csvVerifier()],
  crypto: nodeCrypto(),
  now: Date.parse("2026-06-01T00:00:00Z"),
  collateral: readCollateralForm(vector("csv/csv-rs_hsk_cek.cert")),
};
const evidence = {
  type: "csv",
  bytes: vector("csv/csv-rs_report.cert"),
  attachments: {},
} as const;

const { accepted, verified } = await assessEvidence(evidence, options);
expect("The verdict", accepted, true);
for (const { name, actual } of verified?.relaxations ?? []) {
  console.log(`A policy must allow ${name}: ${actual}.`);
}
const strict = await assessEvidence(evidence, { ...options, strict: true });
expect("The strict verdict", strict.accepted, false);
console.log("Genuine; by the strict default, refused.");
