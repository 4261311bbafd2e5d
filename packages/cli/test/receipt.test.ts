import { createDelegation, fingerprint } from "@vivarium/attestation";
import { utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { signReceipt } from "@vivarium/seal";
import { describe, expect, it } from "vitest";
import { createCli, errorLine } from "./support.ts";

const crypto = nodeCrypto();
const issuedAt = Date.UTC(2026, 10, 24);

async function receipt(): Promise<{ bytes: Uint8Array; identity: string }> {
  const [identity, worker] = await Promise.all([
    crypto.generateSigner("ES256"),
    crypto.generateSigner("ES256"),
  ]);
  const delegation = await createDelegation(identity, {
    worker: worker.publicKey,
    code: new Uint8Array(32).fill(7),
    workload: "psi",
    notBefore: issuedAt - 1000,
    notAfter: issuedAt + 1000,
  });
  const print = await fingerprint(crypto, identity.publicKey);
  const party = {
    role: "sender",
    identity: print,
    tee: "simulated",
    isolation: "simulated",
    binding: "session",
    evidence: "00",
    statement: "01",
    policy: "02",
  };
  const bytes = await signReceipt(
    {
      kind: "psi/run",
      issuedAt,
      body: { matches: 3, digest: Uint8Array.of(0xab), big: 2n ** 60n, text: "a\u001b[2Jb" },
      commitments: { input: new Uint8Array(32).fill(9) },
      parties: [party],
    },
    worker,
    delegation,
  );
  return { bytes, identity: print };
}

describe("receipt verify", () => {
  it("prints the content of a genuine receipt, labelled simulated", async () => {
    const cli = createCli();
    const { bytes, identity } = await receipt();
    cli.write("r.cbor", bytes);
    const { exit, out } = await cli.run("receipt", "verify", "r.cbor");
    expect(exit).toBe(0);
    expect(out).toContain("The receipt is genuine: psi/run");
    expect(out).toContain(identity);
    expect(out).toContain("Any signer was allowed");
    expect(out).toContain("SIMULATED");
    expect(out).not.toContain("\u001b");
    expect((await cli.json("receipt", "verify", "r.cbor")).value).toMatchObject({
      genuine: true,
      identityExpected: false,
      simulated: true,
      kind: "psi/run",
      issuer: { identity, workload: "psi", code: "07".repeat(32) },
      body: { matches: 3, digest: "ab", big: "1152921504606846976" },
      commitments: { input: "09".repeat(32) },
    });
  });

  it("counts receipts of the named parties only", async () => {
    const cli = createCli();
    const { bytes, identity } = await receipt();
    cli.write("r.cbor", bytes);
    const other = `sha256:${"0".repeat(64)}`;
    const verify = (...args: string[]) => cli.json("receipt", "verify", "r.cbor", ...args);
    expect(await verify("--identity", other, "--identity", identity)).toMatchObject({
      exit: 0,
      value: { identityExpected: true },
    });
    expect(await verify("--identity", other)).toMatchObject({
      exit: 3,
      value: { error: { id: "seal/not-genuine" } },
    });
    expect(await verify("--identity", "bob")).toMatchObject({
      exit: 2,
      value: { error: { id: "cli/usage" } },
    });
  });

  it("refuses a receipt with any byte changed, without a stack", async () => {
    const cli = createCli();
    const { bytes } = await receipt();
    for (let at = 0; at < bytes.length; at += 37) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      cli.write("r.cbor", changed);
      const { exit, err, out } = await cli.run("receipt", "verify", "r.cbor");
      expect([2, 3]).toContain(exit);
      expect(err).toMatch(errorLine);
      expect(out).toBe("");
    }
  });

  it("refuses files that are absent, no receipt or too large", async () => {
    const cli = createCli();
    cli.write("text", utf8("hello"));
    cli.write("big", new Uint8Array(1024 * 1024 + 1));
    for (const file of ["none", "text", "big", "."]) {
      expect((await cli.run("receipt", "verify", file)).exit).toBe(2);
    }
  });
});
