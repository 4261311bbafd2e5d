/** A launch that cannot go well is refused before anything starts. */
import { simulatedPolicy } from "@vivarium/attestation/simulated";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, test } from "vitest";
import { launchPsi } from "../src/launch.ts";

test("a policy that names no development root is refused before the bundle is read", async () => {
  const crypto = nodeCrypto();
  const identity = await crypto.generateSigner("ES256");
  const digest = await crypto.digest("SHA-256", new Uint8Array(0));
  const policy = await simulatedPolicy({
    crypto,
    role: "sender",
    identity: identity.publicKey,
    root: identity.publicKey,
    measurements: { code: digest, runtime: digest, flags: digest },
  });
  const accept = policy.roles["sender"]?.accept.map(({ root: _root, ...record }) => record) ?? [];
  const rootless = { ...policy, roles: { sender: { ...policy.roles["sender"], accept } } };
  const launched = launchPsi({
    bundle: "/nonexistent",
    role: "receiver",
    identity,
    attestation: { kind: "simulated", root: identity },
    policy: rootless as typeof policy,
    config: {
      listen: { host: "127.0.0.1", port: 0 },
      input: { path: "/nonexistent", keys: [{ column: "a" }] },
      mode: "cardinality",
      resultTo: "receiver",
    },
  });
  await expect(launched).rejects.toMatchObject({ domain: "attestation", code: "invalid-policy" });
});
