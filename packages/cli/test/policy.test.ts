import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parsePolicy } from "@vivarium/attestation";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { type Cli, createCli, errorLine } from "./support.ts";

interface PartyFile {
  name: string;
  identity: { fingerprint: string; publicKey: string };
  attestation: { type: string; root: string };
  workloads: { psi: { code: string; runtime: string; flags: string } };
}

async function withParty(): Promise<{ cli: Cli; party: PartyFile }> {
  const cli = createCli();
  await cli.run("identity", "create", "bob");
  await cli.run("identity", "export");
  const text = readFileSync(join(cli.directory, "bob.party.json"), "utf8");
  return { cli, party: JSON.parse(text) as PartyFile };
}

async function withPolicy(): Promise<{ cli: Cli; text: string }> {
  const { cli } = await withParty();
  await cli.run("policy", "init", "--peer", "bob.party.json", "--output", "policy.yaml");
  return { cli, text: readFileSync(join(cli.directory, "policy.yaml"), "utf8") };
}

describe("policy init", () => {
  it("writes commented YAML that pins everything of the party file", async () => {
    const { cli, party } = await withParty();
    const { exit, value } = await cli.json(
      ...["policy", "init", "--peer", "bob.party.json", "--role", "sender", "--output", "p.yaml"],
    );
    expect(exit).toBe(0);
    const text = readFileSync(join(cli.directory, "p.yaml"), "utf8");
    expect(text).toContain("# The peer's development root. Compare this by voice, too.");
    expect(text).toContain("SIMULATED");
    const policy = parsePolicy(parse(text));
    expect(value).toMatchObject({ policy: JSON.parse(JSON.stringify(policy)) });
    const { code, runtime, flags } = party.workloads.psi;
    expect(Object.keys(policy.roles)).toEqual(["sender"]);
    expect(policy.roles["sender"]).toMatchObject({
      identities: [party.identity.fingerprint],
      accept: [
        {
          type: "simulated",
          isolation: "simulated",
          binding: "session",
          root: party.attestation.root,
          measurements: { code: [code], runtime: [runtime], flags: [flags] },
          debug: false,
        },
      ],
    });
  });

  it("accepts several parties in a role of federated learning", async () => {
    const { cli, party } = await withParty();
    await cli.run("identity", "create", "carol");
    await cli.run("identity", "export", "carol");
    const carol = JSON.parse(
      readFileSync(join(cli.directory, "carol.party.json"), "utf8"),
    ) as PartyFile & { workloads: { federated: { code: string } } };
    const args = ["--workload", "federated", "--role", "participant", "--output", "hub.yaml"];
    const { exit } = await cli.json(
      ...["policy", "init", "--peer", "bob.party.json", "--peer", "carol.party.json", ...args],
    );
    expect(exit).toBe(0);
    const policy = parsePolicy(parse(readFileSync(join(cli.directory, "hub.yaml"), "utf8")));
    expect(policy.roles["participant"]?.identities).toEqual([
      party.identity.fingerprint,
      carol.identity.fingerprint,
    ]);
    expect(policy.roles["participant"]?.accept[1]?.measurements["code"]).toEqual([
      carol.workloads.federated.code,
    ]);
    const wrong = await cli.json(
      "policy",
      "init",
      "--peer",
      "bob.party.json",
      "--role",
      "participant",
    );
    expect(wrong.value).toMatchObject({
      error: { id: "cli/usage", message: expect.stringContaining("receiver, sender for psi") },
    });
    // A party file of before has no such worker, and says so.
    const { federated: _none, ...workloads } = carol.workloads;
    cli.write("old.json", JSON.stringify({ ...carol, workloads }));
    const old = await cli.json("policy", "init", "--peer", "old.json", "--workload", "federated");
    expect(old.value).toMatchObject({ error: { id: "cli/invalid-file" } });
  });

  it("names both roles if none is given, as JSON if the name says so, to the output if no file", async () => {
    const { cli } = await withParty();
    await cli.run("policy", "init", "--peer", "bob.party.json", "--output", "p.json");
    const json: unknown = JSON.parse(readFileSync(join(cli.directory, "p.json"), "utf8"));
    const { out } = await cli.run("policy", "init", "--peer", "bob.party.json");
    expect(parse(out)).toEqual(json);
    expect(Object.keys(parsePolicy(json).roles)).toEqual(["receiver", "sender"]);
  });

  it("keeps digests text that YAML would take for numbers", async () => {
    const { cli, party } = await withParty();
    const code = `${"1".repeat(60)}e123`;
    cli.write(
      "digits.json",
      JSON.stringify({ ...party, workloads: { psi: { ...party.workloads.psi, code } } }),
    );
    const { out } = await cli.run("policy", "init", "--peer", "digits.json", "--role", "sender");
    expect(parsePolicy(parse(out)).roles["sender"]?.accept[0]?.measurements["code"]).toEqual([
      code,
    ]);
  });

  it("does not overwrite", async () => {
    const { cli } = await withParty();
    cli.write("mine.yaml", "mine");
    const { value } = await cli.json(
      ...["policy", "init", "--peer", "bob.party.json", "--output", "mine.yaml"],
    );
    expect(value).toMatchObject({ error: { id: "cli/exists" } });
  });

  const changes: readonly [string, (party: PartyFile) => unknown][] = [
    ["another key", (p) => ({ ...p, identity: { ...p.identity, publicKey: "A".repeat(122) } })],
    [
      "another fingerprint",
      (p) => ({ ...p, identity: { ...p.identity, fingerprint: `sha256:${"0".repeat(64)}` } }),
    ],
    ["a short digest", (p) => ({ ...p, workloads: { psi: { ...p.workloads.psi, code: "ab" } } })],
    ["no root", (p) => ({ ...p, attestation: { type: "simulated" } })],
    [
      "hardware that it does not have",
      (p) => ({ ...p, attestation: { ...p.attestation, type: "tdx" } }),
    ],
    ["an unknown field", (p) => ({ ...p, trusted: true })],
    ["a name that would break YAML", (p) => ({ ...p, name: "bob\nroles: {}" })],
    ["another version", (p) => ({ ...p, version: 2 })],
    ["nothing", () => null],
  ];
  it.each(changes)("refuses a party file with %s", async (_title, change) => {
    const { cli, party } = await withParty();
    cli.write("bad.json", JSON.stringify(change(party)));
    const { exit, err } = await cli.run("policy", "init", "--peer", "bad.json");
    expect(exit).toBe(2);
    expect(err).toMatch(errorLine);
    expect(err).toContain("error[cli/invalid-file]");
  });

  it("refuses a party file that is no JSON, absent, or too large", async () => {
    const { cli } = await withParty();
    cli.write("text.json", "hello: [");
    cli.write("big.json", " ".repeat(64 * 1024 + 1));
    const id = async (file: string): Promise<unknown> =>
      (await cli.json("policy", "init", "--peer", file)).value;
    expect(await id("text.json")).toMatchObject({ error: { id: "cli/invalid-file" } });
    expect(await id("none.json")).toMatchObject({ error: { id: "cli/not-found" } });
    expect(await id("big.json")).toMatchObject({ error: { id: "cli/too-large" } });
  });
});

describe("policy check", () => {
  it("accepts what init wrote", async () => {
    const { cli } = await withPolicy();
    const { exit, value } = await cli.json("policy", "check", "policy.yaml");
    expect(exit).toBe(0);
    expect(value).toEqual({
      file: "policy.yaml",
      name: "bob for psi",
      roles: ["receiver", "sender"],
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      valid: true,
    });
  });

  it.each([
    ["debug: false", "debug: true", /policy\.yaml:\d+:9: roles\.receiver\.accept\[0\]\.debug: /],
    ["tcb:", "tcbs:", /policy\.yaml:\d+:9: roles\.receiver\.accept\[0\]\.tcbs: /],
    ["maxAgeSeconds: 3600", "maxAgeSeconds: soon", /accept\[0\]\.maxAgeSeconds: /],
    ["binding: session", "binding: launch-secret", /accept\[0\]\.binding: /],
    [/root: sha256:\w+/, "# root", /accept\[0\]\.root: required for simulated/],
    [/code:\n.*\n/, "", /accept\[0\]\.measurements: simulated needs at least code and runtime/],
    [/- sha256:\w+/, '- "sha256:*"', /roles\.receiver\.identities\[0\]: /],
    ["version: 1", "version: 1\nversion: 1", /policy\.yaml:4:1: Map keys must be unique/],
    ["roles:", "roles: [", /policy\.yaml:\d+:\d+: /],
  ])("with %s as %s names line, column and field", async (from, to, message) => {
    const { cli, text } = await withPolicy();
    cli.write("policy.yaml", text.replace(from, to));
    const { exit, err } = await cli.run("policy", "check", "policy.yaml");
    expect(exit).toBe(2);
    expect(err).toMatch(errorLine);
    expect(err).toContain("error[cli/invalid-config]");
    expect(err).toMatch(message);
  });

  it("refuses files that are absent or empty", async () => {
    const cli = createCli();
    cli.write("empty.yaml", "");
    const id = async (file: string) => (await cli.json("policy", "check", file)).value;
    expect(await id("none.yaml")).toMatchObject({ error: { id: "cli/not-found", exit: 2 } });
    expect(await id("empty.yaml")).toMatchObject({ error: { id: "cli/invalid-config", exit: 2 } });
  });
});

describe("policy explain", () => {
  it("puts every rule in words", async () => {
    const { cli, text } = await withPolicy();
    const { exit, out } = await cli.run("policy", "explain", "policy.yaml");
    expect(exit).toBe(0);
    for (const [digest] of text.matchAll(/[0-9a-f]{64}/g)) expect(out).toContain(digest);
    expect(out).toContain("SIMULATED");
  });

  it("refuses what check refuses", async () => {
    const { cli, text } = await withPolicy();
    cli.write("policy.yaml", text.replace("debug: false", "debug: true"));
    expect((await cli.run("policy", "explain", "policy.yaml")).exit).toBe(2);
  });
});
