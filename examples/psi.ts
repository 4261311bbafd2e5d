/** A whole attested PSI: two parties, two measured processes, and what their tables have in common. */
import { tmpdir } from "node:os";
import { simulatedPolicy } from "@vivarium/attestation/simulated";
import { nodeCrypto } from "@vivarium/core/node";
import { psiBundle, runPsi } from "@vivarium/psi";
import { measureBundle } from "@vivarium/workers";

const crypto = nodeCrypto();
const key = () => crypto.generateSigner("ES256");
const [root, alice, bob] = [await key(), await key(), await key()];
const proof = { crypto, root: root.publicKey, measurements: await measureBundle(psiBundle()) };
const attestation = { kind: "simulated", root } as const;
const rules = { mode: "intersection", resultTo: "receiver" } as const;
const at = { host: "127.0.0.1", port: 17_443 };
const output = { path: `${tmpdir()}/common.csv` };
const table = (name: string) => ({
  path: `${import.meta.dirname}/data/${name}.csv`,
  keys: [{ column: "email", normalise: ["email"] }],
});

const [found] = await Promise.all([
  runPsi({
    ...{ role: "receiver", identity: alice, attestation },
    policy: await simulatedPolicy({ ...proof, role: "sender", identity: bob.publicKey }),
    config: { ...rules, listen: at, input: table("alice"), output },
  }),
  runPsi({
    ...{ role: "sender", identity: bob, attestation },
    policy: await simulatedPolicy({ ...proof, role: "receiver", identity: alice.publicKey }),
    config: { ...rules, connect: at, input: table("bob") },
  }),
]);
if (found.matches !== 1) throw new Error(`1 row is in common, not ${found.matches}.`);
console.log(`The row in common is in ${output.path}.`);
