/** Evidence of a TPM by the command line: collected, shown, verified by key and by policy, in a run's config. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
// @boundaries-ignore a software TPM for tests of three packages; nothing of it ships
import { noTpm, startTpm } from "../../attestation/test/collect/swtpm.ts";
import { type Cli, createCli } from "./support.ts";

const reportData = "5b".repeat(64);

function policyText(root: string, pcr: string): string {
  return `version: 1
name: a TPM
roles:
  sender:
    identities: ["sha256:${"0".repeat(64)}"]
    accept:
      - type: tpm
        isolation: none
        binding: session
        root: ${root}
        measurements:
          pcr04: ["${pcr}"]
          code: ["${"1".repeat(64)}"]
        minimumSvn: {}
        tcb: [UpToDate]
        debug: false
        maxAgeSeconds: 60
`;
}

describe.skipIf(noTpm !== undefined)("a TPM", () => {
  const collect = async (cli: Cli, address: string) =>
    await cli.run(
      ...["evidence", "collect", "--from", "tpm", "--tpm", address, "--ak", "vm.ak"],
      ...["--report-data", reportData, "--output", "vm.evidence"],
    );

  it("is labelled, verifies by the key that was named, and not without", async () => {
    await using tpm = await startTpm();
    const cli = createCli();
    const { exit, out } = await collect(cli, tpm.address);
    expect(exit).toBe(0);
    expect(out).toMatch(/^Evidence of a TPM: it measures what booted, and isolates nothing/);
    const verify = ["evidence", "verify", "vm.evidence"];
    expect((await cli.run(...verify)).exit).toBe(3);
    const { exit: accepted, value } = await cli.json(...verify, "--collateral", "vm.ak");
    expect(accepted).toBe(0);
    expect(value).toMatchObject({ tee: "tpm", accepted: true, simulated: false });
  });

  it("meets a policy, whose worker's code a file cannot show", async () => {
    await using tpm = await startTpm();
    const cli = createCli();
    const { out } = await collect(cli, tpm.address);
    const root = /root {5}(sha256:\w+)/.exec(out)?.[1];
    const verify = async (pcr: string) => {
      writeFileSync(join(cli.directory, "policy.yaml"), policyText(root ?? "none", pcr));
      return await cli.run(
        ...["evidence", "verify", "vm.evidence", "--collateral", "vm.ak"],
        ...["--policy", "policy.yaml", "--role", "sender", "--report-data", reportData],
      );
    };
    const good = await verify("0".repeat(64));
    expect(good.out).toMatch(/^- {5}measurement\.code .*proven in the handshake only/m);
    expect(good.exit).toBe(0);
    const bad = await verify("f".repeat(64));
    expect(bad.exit).toBe(3);
    expect(bad.out).toMatch(/^FAIL {2}measurement\.pcr04 /m);
  });
});

describe("evidence collect --from", () => {
  it.each([
    ["toaster", "error[cli/usage]: --from must be one of simulated, auto, gramine"],
    ["gramine", "error[attestation/unavailable]"],
  ])("%s", async (from, message) => {
    const cli = createCli();
    const { exit, err } = await cli.run(
      ...["evidence", "collect", "--from", from],
      ...["--report-data", reportData, "--output", "x.evidence"],
    );
    expect(exit).toBe(from === "gramine" ? 1 : 2);
    expect(err).toContain(message);
  });

  it("refuses options that have no meaning for the source", async () => {
    const cli = createCli();
    const { exit, err } = await cli.run(
      ...["evidence", "collect", "--ak", "x.ak"],
      ...["--report-data", reportData, "--output", "x.evidence"],
    );
    expect(exit).toBe(2);
    expect(err).toContain("--ak has no meaning with --from simulated");
  });
});
