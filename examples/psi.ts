/** A whole attested PSI: two parties, two measured processes, and what their tables have in common. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { simulatedPolicy } from "@vivarium/attestation/simulated";
import type { Signer } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { type PsiRole, psiBundle, runPsi } from "@vivarium/psi";
import { measureBundle } from "@vivarium/workers";

const crypto = nodeCrypto();
const directory = await mkdtemp(`${tmpdir()}/vivarium-example-`);
const measurements = await measureBundle(psiBundle());
const root = await crypto.generateSigner("ES256");
const alice = await crypto.generateSigner("ES256");
const bob = await crypto.generateSigner("ES256");

async function party(role: PsiRole, own: Signer, peer: Signer, items: readonly string[]) {
  const path = `${directory}/${role}.csv`;
  await writeFile(path, ["email", ...items].join("\n"));
  const at = { host: "127.0.0.1", port: 17_443 };
  return await runPsi({
    role,
    identity: own,
    attestation: { kind: "simulated", root },
    policy: await simulatedPolicy({
      crypto,
      role: role === "receiver" ? "sender" : "receiver",
      identity: peer.publicKey,
      root: root.publicKey,
      measurements,
    }),
    config: {
      ...(role === "receiver" ? { listen: at } : { connect: at }),
      input: { path, keys: [{ column: "email", normalise: ["email"] }] },
      output: { path: `${directory}/${role}.common.csv`, format: "csv" },
      mode: "intersection",
      resultTo: "both",
    },
  });
}

const [receiver, sender] = await Promise.all([
  party("receiver", alice, bob, ["ann@example.com", "Bea@Example.com"]),
  party("sender", bob, alice, ["bea@example.com", "cy@example.com"]),
]);
assert.deepEqual([receiver.matches, sender.matches], [1, 1]);
console.log(await readFile(`${directory}/receiver.common.csv`, "utf8"));
