/** Arm CCA: a token of platform and realm under a trust anchor, and one whose halves are of two realms. */
import { assessEvidence } from "@vivarium/attestation";
import { ccaVerifier } from "@vivarium/attestation/cca";
import { readCollateralForm } from "@vivarium/attestation/forms";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const options = {
  verifiers: [ccaVerifier()],
  crypto: nodeCrypto(),
  now: Date.parse("2026-06-01T00:00:00Z"),
  // The platform's public key (CPAK): whoever makes the platform hands it out.
  collateral: readCollateralForm(vector("cca/rust-ccatoken/ta-tfa.json")),
};
const token = (name: string) =>
  ({ type: "cca", bytes: vector(`cca/rust-ccatoken/${name}.cbor`), attachments: {} }) as const;

const good = await assessEvidence(token("cca-token-draft-ffm-00"), options);
expect("The verdict", good.accepted, true);
console.log("Both signatures verify, and the platform vouches for the realm's key.");

const mixed = await assessEvidence(token("bug-33-repro"), options);
const failed = mixed.findings.find(({ severity }) => severity === "error");
expect("The failed rule", failed?.rule, "cca.binding");
console.log(`Two good signatures that do not belong together: refused by ${failed?.rule}.`);
