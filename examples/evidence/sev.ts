/** AMD SEV and SEV-ES: the owner of a guest verifies a platform, and starts a session that only it can use. */
import { createSevSession, sevPolicy, verifySevPlatform } from "@vivarium/attestation/sev";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const crypto = nodeCrypto();
const platform = await verifySevPlatform({
  crypto,
  cek: vector("sev/rome/cek.cert"),
  pek: vector("sev/rome/pek.cert"),
  pdh: vector("sev/rome/pdh.cert"),
  oca: vector("sev/rome/oca.cert"),
});
console.log(`A genuine platform of Rome: root ${platform.root}, owner ${platform.owner}.`);

const policy = sevPolicy.noDebug | sevPolicy.noKeySharing | sevPolicy.es | sevPolicy.noSend;
const { certificate, blob } = await createSevSession({ crypto, platform, policy });
expect("The owner's certificate", certificate.length, 2084);
expect("The launch blob", blob.length, 128);
// The host launches with them; admitSevGuest then checks MEASURE and gives the guest its key.
console.log("Its firmware alone can unwrap the transport keys of this session.");
