/** `sev session` and `admit`: a whole launch against firmware written from the specification. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { openSevSecret, type SevFirmware } from "@vivarium/attestation/sev";
import { concat, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, it } from "vitest";
// @boundaries-ignore a synthetic platform for tests of two packages; nothing of it ships
import { syntheticSev } from "../../attestation/test/synthetic/sev.ts";
import { createCli } from "./support.ts";

const firmware: SevFirmware = { apiMajor: 1, apiMinor: 55, build: 21 };
const policy = 0x2f;
const digest = new Uint8Array(32).fill(0x5e);
const binding = new Uint8Array(64).fill(1);

async function started() {
  const cli = createCli();
  const machine = syntheticSev(firmware);
  const { platform } = machine;
  const [pair] = platform.authorities ?? [];
  cli.write("root.bin", concat(...(pair ?? [])));
  cli.write("chain.bin", concat(platform.pdh, platform.pek, platform.oca));
  cli.write("cek.cert", platform.cek);
  const read = (name: string) =>
    new Uint8Array(Buffer.from(readFileSync(join(cli.directory, name), "utf8"), "base64"));
  const session = [
    "sev",
    "session",
    "chain.bin",
    "cek.cert",
    "--policy",
    "0x2f",
    "--output",
    "web",
  ];
  return { cli, machine, read, session };
}

it("admits a guest that measures right, whose evidence its peers then accept", async () => {
  const { cli, machine, read, session } = await started();
  await cli.run("identity", "create", "owner");
  const begun = await cli.run(...session, "--root", "root.bin");
  expect(begun.err).toBe("");
  expect(begun.exit).toBe(0);
  const keys = join(cli.directory, "web.keys");
  expect(statSync(keys).mode & 0o777).toBe(0o600);
  const launch = machine.start(read("web.godh.b64"), read("web.session.b64"), policy);
  const measure = Buffer.from(launch.measure(digest)).toString("base64");
  const admit = [
    ...["sev", "admit", "web.keys", "--measure", measure, "--api", "1.55", "--output", "web"],
  ];
  const other = await cli.run(...admit, "--build", "21", "--digest", "00".repeat(32));
  expect(other.exit).toBe(3);
  expect((await cli.run(...admit, "--build", "22", "--digest", toHex(digest))).exit).toBe(3);
  expect(existsSync(join(cli.directory, "web.secret.b64"))).toBe(false);
  const { exit, value } = await cli.json(...admit, "--build", "21", "--digest", toHex(digest));
  expect(exit).toBe(0);
  expect(existsSync(keys)).toBe(false);
  const plain = launch.inject(read("web.header.b64"), read("web.secret.b64"));
  const length = new DataView(plain.buffer, plain.byteOffset).getUint32(36, true);
  const attester = await openSevSecret(nodeCrypto(), plain.slice(40, 20 + length));
  const { bytes } = await attester.collect(binding);
  cli.write("guest.evidence", bytes);
  const verify = ["evidence", "verify", "guest.evidence", "--type", "sev-es"];
  const alone = await cli.run(...verify, "--report-data", toHex(binding));
  expect(alone.out).toContain("launch-secret");
  expect(alone.exit).toBe(0);
  const { root } = value as { readonly root: string };
  expect(root).toMatch(/^sha256:/);
  const record = ["reference", "record", "guest.evidence", "--type", "sev-es", "--name", "web"];
  expect((await cli.run(...record, "--output", "web.json")).exit).toBe(0);
  const make = ["reference", "policy", "web.json", "--identity", root, "--role", "sender"];
  expect((await cli.run(...make, "--output", "policy.json")).exit).toBe(0);
  const judged = await cli.run(...verify, "--policy", "policy.json", "--role", "sender");
  expect(judged.out).toMatch(/^ok {4}measurement\.measurement /m);
  expect(judged.out).toMatch(/^ok {4}root /m);
  expect(judged.exit).toBe(0);
});

it("starts no session with a platform that is not AMD's, or of another owner", async () => {
  const { cli, session } = await started();
  expect((await cli.run(...session)).exit).toBe(3);
  const owner = ["--platform-owner", `sha256:${"0".repeat(64)}`];
  expect((await cli.run(...session, "--root", "root.bin", ...owner)).exit).toBe(3);
  expect(existsSync(join(cli.directory, "web.keys"))).toBe(false);
});

it.each([[["--policy", "x"]], [["--policy", "0x1ffffffff"]]])("refuses %j", async (more) => {
  const { cli, session } = await started();
  expect((await cli.run(...session, "--root", "root.bin", ...more)).exit).toBe(2);
});

it("refuses keys that are none, and measurements of another form", async () => {
  const { cli, session } = await started();
  await cli.run("identity", "create", "owner");
  await cli.run(...session, "--root", "root.bin");
  const args = ["--api", "1.55", "--build", "21", "--digest", toHex(digest), "--output", "web"];
  const measure = ["--measure", "A".repeat(64)];
  expect((await cli.run("sev", "admit", "web.keys", "--measure", "AAAA", ...args)).exit).toBe(2);
  expect((await cli.run("sev", "admit", "web.godh.b64", ...measure, ...args)).exit).toBe(2);
  const noDigest = args.filter((word) => word !== "--digest" && word !== toHex(digest));
  expect((await cli.run("sev", "admit", "web.keys", ...measure, ...noDigest)).exit).toBe(2);
});
