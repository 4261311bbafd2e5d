import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Cli, createCli, errorLine } from "./support.ts";

const reportData = "5a".repeat(64);

/** Bob's evidence and a policy that accepts it. The clock is the caller's. */
async function collected(now?: () => number): Promise<Cli> {
  const cli = createCli(now === undefined ? {} : { now });
  await cli.run("identity", "create", "bob");
  await cli.run("identity", "export");
  await cli.run("policy", "init", "--peer", "bob.party.json", "--output", "policy.yaml");
  const { exit } = await cli.run(
    ...["evidence", "collect", "--report-data", reportData, "--output", "bob.evidence"],
  );
  expect(exit).toBe(0);
  return cli;
}

const verifyArgs = (...more: string[]): string[] => [
  ...["evidence", "verify", "bob.evidence", "--policy", "policy.yaml", "--role", "sender"],
  ...more,
];

describe("evidence verify", () => {
  it("accepts what the policy accepts, and says what a file cannot show", async () => {
    const cli = await collected();
    const { exit, out } = await cli.run(...verifyArgs("--report-data", reportData));
    expect(exit).toBe(0);
    expect(out).toMatch(/^SIMULATED evidence/);
    expect(out).toMatch(/^ok {4}measurement\.code /m);
    expect(out).toMatch(/^- {5}identity .*proven in the handshake only/m);
    expect(out).toMatch(/^- {5}statement\.code /m);
    expect(out).toContain("ACCEPTED");
    expect(out).not.toContain("FAIL");
  });

  it("refuses another report data with exit code 3, failed rules first", async () => {
    const cli = await collected();
    const args = verifyArgs("--report-data", "00".repeat(64));
    const { exit, out, err } = await cli.run(...args);
    expect(exit).toBe(3);
    expect(err).toBe("");
    expect(out.split("\n").find((line) => /^(?:ok|FAIL|-) /.test(line))).toMatch(
      /^FAIL {2}report-data /,
    );
    const { value } = await cli.json(...args);
    expect(value).toMatchObject({ accepted: false, simulated: true, role: "sender" });
  });

  it.each([
    [/(code:\n\s+- ")\w+/g, `$1${"0".repeat(64)}`, "measurement.code"],
    [/(runtime:\n\s+- ")\w+/g, `$1${"0".repeat(64)}`, "measurement.runtime"],
    [/(flags:\n\s+- ")\w+/g, `$1${"0".repeat(64)}`, "measurement.flags"],
    [/(root: sha256:)\w+/g, `$1${"0".repeat(64)}`, "root"],
    [/svn: 1/g, "svn: 2", "svn.svn"],
    [/- UpToDate/g, "- OutOfDate", "tcb"],
  ])("refuses under a policy with %s changed", async (from, to, rule) => {
    const cli = await collected();
    const text = readFileSync(join(cli.directory, "policy.yaml"), "utf8");
    cli.write("policy.yaml", text.replaceAll(from, to));
    const { exit, value } = await cli.json(...verifyArgs("--report-data", reportData));
    expect(exit).toBe(3);
    const { findings } = value as { findings: { verdict: string; rule: string }[] };
    const failed = findings.filter(({ verdict }) => verdict === "fail").map((each) => each.rule);
    expect(failed).toEqual([rule]);
  });

  it("refuses evidence that is too old, by the policy and by itself", async () => {
    let now = Date.UTC(2026, 10, 24);
    const cli = await collected(() => now);
    const failed = async () => {
      const { exit, value } = await cli.json(...verifyArgs("--report-data", reportData));
      expect(exit).toBe(3);
      const { findings } = value as { findings: { verdict: string; rule: string }[] };
      return findings.filter(({ verdict }) => verdict === "fail").map((each) => each.rule);
    };
    now += 3_601_000;
    expect(await failed()).toEqual(["age.issued-at"]);
    now += 24 * 3_600_000;
    expect(await failed()).toEqual(["simulated.exp"]);
  });

  it("refuses evidence in which one byte was changed, wherever it is", async () => {
    const cli = await collected();
    const bytes = new Uint8Array(readFileSync(join(cli.directory, "bob.evidence")));
    for (let at = 0; at < bytes.length; at += 29) {
      const changed = bytes.slice();
      changed[at] = (changed[at] as number) ^ 0x01;
      cli.write("bob.evidence", changed);
      const { exit } = await cli.run(...verifyArgs("--report-data", reportData));
      expect(exit).not.toBe(0);
    }
  });

  it("does not judge without a role of the policy, a policy that is there, or bytes", async () => {
    const cli = await collected();
    const id = async (...args: string[]) => (await cli.json("evidence", "verify", ...args)).value;
    const rest = ["--report-data", reportData];
    expect(
      await id("bob.evidence", "--policy", "policy.yaml", "--role", "king", ...rest),
    ).toMatchObject({
      error: { id: "cli/usage", exit: 2 },
    });
    expect(await id("bob.evidence", "--policy", "none", "--role", "sender", ...rest)).toMatchObject(
      {
        error: { id: "cli/not-found", exit: 2 },
      },
    );
    expect(await id("bob.evidence", "--policy", "policy.yaml")).toMatchObject({
      error: { id: "cli/usage", exit: 2 },
    });
    expect(await id("bob.evidence", "--role", "sender")).toMatchObject({
      error: { id: "cli/usage", exit: 2 },
    });
    for (const hex of ["", "0", `${reportData}00`, "zz".repeat(64)]) {
      expect(
        await id(
          "bob.evidence",
          "--policy",
          "policy.yaml",
          "--role",
          "sender",
          "--report-data",
          hex,
        ),
      ).toMatchObject({ error: { id: "cli/usage", exit: 2 } });
    }
  });

  it("refuses files that are no evidence in one line", async () => {
    const cli = await collected();
    cli.write("bob.evidence", "hello");
    const { exit, err } = await cli.run(...verifyArgs("--report-data", reportData));
    expect(exit).toBe(2);
    expect(err).toMatch(errorLine);
    expect(err).toContain("error[attestation/unknown-type]");
  });
});

describe("evidence verify without a policy", () => {
  it("refuses simulated evidence: only a policy can name its root", async () => {
    const cli = await collected();
    const { exit, value } = await cli.json("evidence", "verify", "bob.evidence");
    expect(exit).toBe(3);
    expect(value).toMatchObject({ tee: "simulated", simulated: true, accepted: false });
    const { findings } = value as { findings: { severity: string; rule: string }[] };
    const failed = findings.filter(({ severity }) => severity === "error").map(({ rule }) => rule);
    expect(failed).toEqual(["root"]);
  });

  it.each([
    ["--type", "sgy"],
    ["--at", "yesterday"],
  ])("names a bad %s in one line", async (option, value) => {
    const cli = await collected();
    const { exit, err } = await cli.run("evidence", "verify", "bob.evidence", option, value);
    expect(exit).toBe(2);
    expect(err).toMatch(errorLine);
  });
});

describe("evidence collect", () => {
  it("measures the bundle, and the policy if there is one", async () => {
    const cli = await collected();
    const digest = (await cli.json("policy", "check", "policy.yaml")).value as { digest: string };
    const { value } = await cli.json(
      ...["evidence", "collect", "--report-data", reportData, "--policy", "policy.yaml"],
      ...["--output", "other.evidence"],
    );
    const party = JSON.parse(readFileSync(join(cli.directory, "bob.party.json"), "utf8")) as {
      workloads: { psi: Record<string, string> };
    };
    expect(value).toMatchObject({
      type: "simulated",
      simulated: true,
      measurements: { ...party.workloads.psi, policy: digest.digest, config: "00".repeat(32) },
    });
  });

  it("needs a state, and does not overwrite", async () => {
    const args = ["evidence", "collect", "--report-data", reportData, "--output"];
    const { value } = await createCli().json(...args, "x");
    expect(value).toMatchObject({ error: { id: "cli/not-found" } });
    const cli = await collected();
    const again = await cli.json(...args, "bob.evidence");
    expect(again.value).toMatchObject({ error: { id: "cli/exists" } });
  });
});

describe("evidence show", () => {
  it("prints the content, labelled simulated and not judged", async () => {
    const cli = await collected();
    const { exit, out } = await cli.run("evidence", "show", "bob.evidence");
    expect(exit).toBe(0);
    expect(out).toMatch(/^SIMULATED evidence/);
    expect(out).toContain("Not judged");
    expect(out).toContain(reportData);
    expect((await cli.json("evidence", "show", "bob.evidence")).value).toMatchObject({
      type: "simulated",
      simulated: true,
      judged: false,
      claims: { simulated: { report_data: reportData } },
    });
  });

  it("shows evidence that is past its time, too", async () => {
    let now = Date.now();
    const cli = await collected(() => now);
    now += 25 * 3_600_000;
    const { exit, out } = await cli.run("evidence", "show", "bob.evidence");
    expect(exit).toBe(0);
    expect(out).toContain(reportData);
  });

  it("refuses what is no evidence", async () => {
    const cli = createCli();
    cli.write("x", "hello");
    expect((await cli.run("evidence", "show", "x")).exit).toBe(2);
    expect((await cli.run("evidence", "show", "none")).exit).toBe(2);
  });
});

describe("policy explain --evidence", () => {
  it("lists every rule for every role", async () => {
    const cli = await collected();
    const { exit, out } = await cli.run(
      ...["policy", "explain", "policy.yaml", "--evidence", "bob.evidence"],
    );
    expect(exit).toBe(0);
    for (const text of ["As receiver:", "As sender:", "measurement.code", "tcb", "debug", "root"]) {
      expect(out).toContain(text);
    }
    expect(out).toMatch(/- {5}report-data .*the session's binding/);
  });
});
