/** The audit log by the command line. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createDelegation } from "@vivarium/attestation";
import { nodeCrypto } from "@vivarium/core/node";
import { signReceipt } from "@vivarium/seal";
import { describe, expect, it } from "vitest";
import { type Cli, createCli } from "./support.ts";

const crypto = nodeCrypto();

async function receipt(kind: string): Promise<Uint8Array> {
  const [identity, worker] = await Promise.all([
    crypto.generateSigner("ES256"),
    crypto.generateSigner("ES256"),
  ]);
  const now = Date.UTC(2026, 10, 24);
  const delegation = await createDelegation(identity, {
    worker: worker.publicKey,
    code: new Uint8Array(32).fill(7),
    workload: "psi",
    notBefore: now - 1000,
    notAfter: now + 1000,
  });
  const content = { kind, issuedAt: now, body: {}, commitments: {}, parties: [] };
  return signReceipt(content, worker, delegation);
}

async function started(): Promise<{ cli: Cli; key: string }> {
  const cli = createCli();
  const { value } = await cli.json("audit", "init", "--name", "test/audit");
  for (const kind of ["psi/run", "psi/other"]) {
    cli.write("r", await receipt(kind));
    expect((await cli.run("audit", "append", "r")).exit).toBe(0);
  }
  return { cli, key: (value as { key: string }).key };
}

describe("audit", () => {
  it("logs receipts, shows them, and proves one without the log", async () => {
    const { cli, key } = await started();
    const { out } = await cli.run("audit", "show");
    expect(out).toMatch(/test\/audit: 2 entries/);
    expect(out).toMatch(/receipt .*kind=psi\/other/);
    expect((await cli.run("audit", "prove", "1", "--output", "p")).exit).toBe(0);
    expect(await cli.json("audit", "verify", "--proof", "p", "--key", key)).toMatchObject({
      exit: 0,
      value: { index: 1, size: 2, event: "receipt", kind: "psi/other" },
    });
    const text = readFileSync(join(cli.directory, "p"), "utf8");
    cli.write("p2", text.replace("index 1", "index 0"));
    expect(await cli.json("audit", "verify", "--proof", "p2", "--key", key)).toMatchObject({
      exit: 3,
      value: { error: { id: "broker/tampered" } },
    });
  });

  it("verifies a copy under its key, and finds a change, a rollback and a missing witness", async () => {
    const { cli, key } = await started();
    const at = (name: string) => join(cli.directory, name);
    cpSync(at("state/audit"), at("copy"), { recursive: true });
    const verify = (...more: string[]) => cli.json("audit", "verify", "--key", key, ...more);
    expect(await verify("--log", "copy")).toMatchObject({
      exit: 0,
      value: { verified: true, size: 2, strangers: [] },
    });
    const watch = (log: string) =>
      cli.json("audit", "watch", "--log", log, "--key", key, "--memory", "seen", "--once");
    cli.write("r", await receipt("psi/third"));
    await cli.run("audit", "append", "r");
    expect(await watch("state/audit")).toMatchObject({ exit: 0, value: { size: 3 } });
    expect(await watch("copy")).toMatchObject({
      exit: 3,
      value: { error: { id: "broker/forked" } },
    });
    expect(await verify("--log", "copy", "--since", "seen")).toMatchObject({ exit: 3 });
    expect(await verify("--log", "state/audit", "--since", "seen")).toMatchObject({
      exit: 0,
      value: { since: 3 },
    });
    const witness = key.replace(/^[^+]*/, "w");
    expect((await verify("--log", "copy", "--witness", witness)).exit).toBe(2);
    const entries = at("copy/tile/entries/000.p/2");
    const bytes = readFileSync(entries);
    bytes[40] = (bytes[40] as number) ^ 1;
    writeFileSync(entries, bytes);
    expect(await verify("--log", "copy")).toMatchObject({
      exit: 3,
      value: { error: { id: "broker/tampered" } },
    });
  });

  it("takes no key from beside a log, no receipt that does not verify, and starts once", async () => {
    const { cli } = await started();
    expect((await cli.run("audit", "verify", "--log", "state/audit")).exit).toBe(2);
    expect((await cli.run("audit", "init", "--name", "test/again")).err).toMatch(/cli\/exists/);
    const bytes = await receipt("psi/run");
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
    cli.write("bad", bytes);
    expect((await cli.run("audit", "append", "bad")).exit).toBeGreaterThan(1);
    expect(await cli.json("audit", "show")).toMatchObject({ value: { size: 2 } });
    expect((await createCli().run("audit", "show")).exit).toBe(2);
  });
});
