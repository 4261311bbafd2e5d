/** `reference`: from a run, a launch or a log to a policy that accepts it, and nothing else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, it } from "vitest";
// @boundaries-ignore a synthetic image for tests of two packages; nothing of it ships
import { syntheticFirmware } from "../../attestation/test/synthetic/firmware.ts";
// @boundaries-ignore a synthetic Sigstore for tests of two packages; nothing of it ships
import { syntheticSigstore } from "../../attestation/test/synthetic/sigstore.ts";
// @boundaries-ignore a synthetic AMD for tests of two packages; nothing of it ships
import { makeReport, syntheticAmd } from "../../attestation/test/synthetic/snp.ts";
// @boundaries-ignore see above
import { pemOf } from "../../attestation/test/synthetic/x509.ts";
import { type Cli, createCli } from "./support.ts";

const crypto = nodeCrypto();
const identity = `sha256:${"5".repeat(64)}`;
/** Of virtee/sev-snp-measure 0.0.13 for the same image, kernel and machine. */
const published =
  "a6adeedc86d86b2750ab98a3343fba7075b45f502b353bad2a197a10132e8e0f5f7626104d85f98642d169bd64974fe3";

/** A run of a machine of a synthetic AMD. */
async function snpRun(): Promise<Cli> {
  const cli = createCli();
  const made = await syntheticAmd(crypto, Date.now());
  cli.write("report.bin", await makeReport(made, new Uint8Array(64)));
  cli.write("root.pem", pemOf(made.ark.der));
  cli.write("chain.pem", pemOf(made.leaf.der, made.ask.der, made.ark.der));
  cli.write("amd.crl", made.collateral["crl"] as Uint8Array);
  return cli;
}

const collateral = ["--root", "root.pem", "--collateral", "chain.pem", "--collateral", "amd.crl"];

function launchOf(cli: Cli): readonly string[] {
  cli.write("OVMF.fd", syntheticFirmware());
  cli.write("kernel", "a kernel");
  cli.write("initrd", "an initrd");
  return [
    ...["reference", "launch", "--firmware", "OVMF.fd", "--cpu", "EPYC-Milan"],
    ...["--processors", "3", "--kernel", "kernel", "--initrd", "initrd"],
    ...["--command-line", "console=ttyS0"],
  ];
}

describe("reference record", () => {
  it("keeps what evidence measured, and its policy accepts that evidence", async () => {
    const cli = await snpRun();
    const name = ["--name", "web 1.2", "--output", "web.reference.json"];
    const recorded = await cli.run("reference", "record", "report.bin", ...collateral, ...name);
    expect(recorded.err).toBe("");
    expect(recorded.exit).toBe(0);
    expect(recorded.out).toMatch(/^ {2}measurement +[0-9a-f]{96}$/m);
    const policy = [
      ...["reference", "policy", "web.reference.json", "--identity", identity],
      ...["--role", "sender", "--output", "web.policy.json"],
    ];
    expect((await cli.run(...policy)).exit).toBe(0);
    const verify = [
      ...["evidence", "verify", "report.bin", ...collateral],
      ...["--policy", "web.policy.json", "--role", "sender"],
    ];
    const { exit, out } = await cli.run(...verify);
    expect(out).toMatch(/^ok {4}measurement\.measurement /m);
    expect(exit).toBe(0);
    // The same machine after another launch.
    await cli.run(...launchOf(cli), "--name", "other", "--output", "other.reference.json");
    const [, root = ""] = /root +(sha256:[0-9a-f]{64})/.exec(out) ?? [];
    await cli.run(...policy.map((word) => word.replace("web.", "other.")), "--root", root);
    const other = await cli.run(...verify.map((word) => word.replace("web.", "other.")));
    expect(other.out).toMatch(/^FAIL {2}measurement\.measurement /m);
    expect(other.exit).toBe(3);
  });

  it("writes nothing of evidence that is refused, or relaxed without being told", async () => {
    const cli = await snpRun();
    const name = ["--name", "web 1.2", "--output", "web.reference.json"];
    const alone = ["reference", "record", "report.bin", "--collateral", "chain.pem", ...name];
    // Not AMD's root.
    expect((await cli.run(...alone)).exit).toBe(3);
    const noCrl = await cli.run(...alone, "--root", "root.pem");
    expect(noCrl.out).toContain("snp.crl-absent");
    expect(noCrl.exit).toBe(3);
    const allowed = await cli.json(...alone, "--root", "root.pem", "--allow", "snp.crl-absent");
    expect(allowed.exit).toBe(0);
    expect(allowed.value).toMatchObject({ reference: { allow: ["snp.crl-absent"] } });
  });
});

describe("reference launch", () => {
  it("computes the digest that is published for a launch", async () => {
    const cli = createCli();
    const { exit, out } = await cli.run(...launchOf(cli));
    expect(out).toBe(`${published}\n`);
    expect(exit).toBe(0);
    const written = await cli.json(...launchOf(cli), "--name", "web", "--output", "web.json");
    expect(written.value).toMatchObject({
      digest: published,
      reference: { type: "snp", measurements: { measurement: [published] } },
    });
    const again = await cli.run(...launchOf(cli), "--name", "web", "--output", "web.json");
    expect(again.exit).not.toBe(0);
  });

  it.each([
    [["--cpu", "Pentium"]],
    [["--processors", "0x"]],
    [["--processors", "5000"]],
    [["--firmware-digest", "00"]],
    [["--hypervisor", "gce"]],
    [["--type", "sev"]],
    [["--type", "sev-es", "--features", "1"]],
    [["--output", "x.json"]],
    [["--firmware", "kernel"]],
  ])("refuses %j, which would be another launch", async (more) => {
    const cli = createCli();
    const { exit, err } = await cli.run(...launchOf(cli), ...more);
    expect(err.trim().split("\n")).toHaveLength(1);
    expect(exit).toBe(2);
  });

  it("needs a kernel for what goes with one", async () => {
    const cli = createCli();
    launchOf(cli);
    const args = ["reference", "launch", "--firmware", "OVMF.fd", "--cpu", "EPYC-Milan"];
    expect((await cli.run(...args, "--initrd", "initrd")).exit).toBe(2);
    expect((await cli.run(...args.slice(0, -2))).exit).toBe(2);
    expect((await cli.run(...args)).exit).toBe(0);
  });
});

describe("reference log", () => {
  it("replays dstack's events to RTMRs, and keeps the pinned ones", async () => {
    const cli = createCli();
    const event = { imr: 3, event_type: 1, digest: "11".repeat(48), event: "", event_payload: "" };
    cli.write("events.json", JSON.stringify([event]));
    const args = ["reference", "log", "events.json", "--type", "tdx"];
    const { out, exit } = await cli.run(...args);
    expect(exit).toBe(0);
    expect(out).toMatch(/^ {2}rtmr_0 +0{96}$/m);
    const { value } = await cli.json(
      ...args,
      "--pin",
      "rtmr_3",
      "--name",
      "x",
      "--output",
      "x.json",
    );
    const digest = await crypto.digest(
      "SHA-384",
      Uint8Array.from({ length: 96 }, (_, i) => (i < 48 ? 0 : 0x11)),
    );
    const rtmr = Buffer.from(digest).toString("hex");
    expect(value).toMatchObject({ reference: { measurements: { rtmr_3: [rtmr] } } });
    expect((await cli.run(...args, "--pin", "pcr04")).exit).toBe(2);
    expect((await cli.run(...args, "--bank", "SHA-256")).exit).toBe(2);
    // A policy of it would pin too little of a TD.
    const policy = ["reference", "policy", "x.json", "--identity", identity, "--role", "sender"];
    const refused = await cli.run(...policy, "--output", "x.policy.json");
    expect(refused.err).toContain("mr_td");
    expect(refused.exit).toBe(2);
  });
});

describe("reference import", () => {
  const mrTd = "ab".repeat(48);

  it("takes RVPS values, tells what it does not use, and its policy can be applied", async () => {
    const cli = createCli();
    const payload = JSON.stringify({ mr_td: [mrTd], kernel: ["x"] });
    const message = { version: "0.1.0", type: "sample", payload: btoa(payload) };
    cli.write("rvps.json", JSON.stringify(message));
    const args = ["reference", "import", "rvps.json", "--output", "td.json"];
    // The message does not say of which TEE it is.
    expect((await cli.run(...args)).exit).toBe(2);
    const { exit, out } = await cli.run(...args, "--type", "tdx");
    expect(exit).toBe(0);
    expect(out).toContain("Not used: kernel: tdx measures nothing of that name");
    const policy = ["reference", "policy", "td.json", "--identity", identity, "--role", "sender"];
    expect((await cli.run(...policy, "--output", "td.policy.json")).exit).toBe(0);
    expect((await cli.run("policy", "check", "td.policy.json")).exit).toBe(0);
  });

  it("refuses with exit code 3 what the named key has not signed", async () => {
    const cli = createCli();
    const { publicKey } = await crypto.generateSigner("ES256");
    const base64 = Buffer.from(publicKey).toString("base64");
    cli.write("key.pem", `-----BEGIN PUBLIC KEY-----\n${base64}\n-----END PUBLIC KEY-----\n`);
    cli.write("rvps.json", JSON.stringify({ mr_td: [mrTd] }));
    const args = ["reference", "import", "rvps.json", "--type", "tdx", "--output", "td.json"];
    const { exit, value } = await cli.json(...args, "--key", "key.pem");
    expect(value).toMatchObject({ accepted: false, output: null });
    expect(exit).toBe(3);
    expect((await cli.run(...args, "--key", "rvps.json")).exit).toBe(2);
    expect((await cli.run(...args)).exit).toBe(0);
  });
});

describe("reference import of a signed manifest", () => {
  it("takes what the named workflow has signed, and nothing else", async () => {
    const cli = createCli();
    const sigstore = await syntheticSigstore(crypto, Date.now());
    await cli.run(...launchOf(cli), "--name", "web 1.2", "--output", "web.json");
    const predicate = JSON.parse(readFileSync(join(cli.directory, "web.json"), "utf8")) as unknown;
    const statement = {
      ...{ _type: "https://in-toto.io/Statement/v1", predicate },
      predicateType: "tag:github.com,2026:vivarium/references#1",
      subject: [{ name: "OVMF.fd", digest: { sha256: "cd".repeat(32) } }],
    };
    cli.write("web.sigstore.json", await sigstore.bundle(statement));
    cli.write("root.json", sigstore.trustRoot);
    const args = ["reference", "import", "web.sigstore.json", "--output", "signed.json"];
    const root = ["--trust-root", "root.json"];
    const who = ["--signer", sigstore.subject, "--issuer", sigstore.issuer];
    for (const missing of [[], root, who, [...root, ...who.slice(0, 2)]]) {
      expect((await cli.run(...args, ...missing)).exit).toBe(2);
    }
    expect((await cli.run(...args, ...root, ...who, "--type", "snp")).exit).toBe(2);
    const other = await cli.run(...args, ...root, "--signer", "x@y.z", ...who.slice(2));
    expect(other.out).toMatch(/^REFUSED/);
    expect(other.exit).toBe(3);
    const { exit, value } = await cli.json(...args, ...root, ...who);
    expect(exit).toBe(0);
    expect(value).toMatchObject({
      signed: true,
      references: [{ measurements: { measurement: [published] } }],
    });
    // Signers mean nothing for a file that nobody signs.
    cli.write("rvps.json", JSON.stringify({ mr_td: ["ab".repeat(48)] }));
    const plain = ["reference", "import", "rvps.json", "--type", "tdx", "--output", "td.json"];
    expect((await cli.run(...plain, ...who)).exit).toBe(2);
  });
});

describe("reference policy", () => {
  it("refuses a file that is no reference set", async () => {
    const cli = createCli();
    cli.write("x.json", "{}");
    const { exit } = await cli.run(
      ...["reference", "policy", "x.json", "--identity", identity, "--role", "sender"],
      ...["--output", "x.policy.json"],
    );
    expect(exit).toBe(2);
  });
});
