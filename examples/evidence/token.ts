/** A token of CoCo's attestation service, under the CA that the caller pins and no other. */
import { AttestationError, decodePem } from "@vivarium/attestation";
import { verifyToken } from "@vivarium/attestation/tokens";
import { fromUtf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const token = fromUtf8(vector("ear-tng/ear.jwt")).trim();
const verify = async (ca: string) =>
  await verifyToken(token, {
    issuers: [{ kind: "trustee-ear", anchors: decodePem("CA", vector(`ear-tng/${ca}`)) }],
    crypto: nodeCrypto(),
    now: 1_768_895_800_000,
  });

const { kind, submodules } = await verify("ear.as-ca.pem");
for (const { name, status } of submodules) console.log(`${kind}: ${name} is ${status}.`);
try {
  await verify("simple.as-ca.pem");
  throw new Error("A token of another authority was taken.");
} catch (error) {
  if (!(error instanceof AttestationError)) throw error;
  expect("The refusal", error.code, "not-genuine");
  console.log("Under another authority: refused.");
}
