/** AWS Nitro: a document at the time it was made, three hours later, and one of a debugged enclave. */
import { assessEvidence } from "@vivarium/attestation";
import { readEvidenceForm } from "@vivarium/attestation/forms";
import { nitroVerifier } from "@vivarium/attestation/nitro";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const verdict = async (file: string, at: string): Promise<string> => {
  const { evidence } = readEvidenceForm(vector(`nitro/${file}`));
  const { accepted, findings } = await assessEvidence(evidence, {
    verifiers: [nitroVerifier()],
    crypto: nodeCrypto(),
    now: Date.parse(at),
    collateral: {},
  });
  const failed = findings.find(({ severity }) => severity === "error");
  return accepted ? "accepted" : `refused by ${failed?.rule}`;
};

const document = "dstack_nitro_attestation.bin";
const fresh = await verdict(document, "2025-12-25T16:10:00Z");
expect("The fresh document", fresh, "accepted");
const old = await verdict(document, "2025-12-25T19:05:00Z");
expect("The old document", old, "refused by nitro.chain.dates");
const debugged = await verdict("dstack_nitro_attestation_dbg.bin", "2025-12-25T08:30:00Z");
expect("The debugged enclave", debugged, "refused by debug");
console.log(`Fresh: ${fresh}. Three hours later: ${old}. With a debugger: ${debugged}.`);
