import { chmodSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createCli, errorLine } from "./support.ts";

const digest = expect.stringMatching(/^[0-9a-f]{64}$/);
const named = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);

describe("identity create", () => {
  it.each(["ES256", "EdDSA"])("makes a private %s key", async (algorithm) => {
    const cli = createCli();
    const { exit, value } = await cli.json("identity", "create", "alice", "--algorithm", algorithm);
    expect(exit).toBe(0);
    expect(value).toEqual({
      name: "alice",
      algorithm,
      fingerprint: named,
      root: named,
      simulated: true,
      state: join(cli.directory, "state"),
    });
    expect(statSync(join(cli.directory, "state/identities/alice.key")).mode & 0o777).toBe(0o600);
  });

  it("never replaces a key", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    const before = readFileSync(join(cli.directory, "state/identities/alice.key"));
    const { value } = await cli.json("identity", "create", "alice");
    expect(value).toMatchObject({ error: { id: "cli/exists" } });
    expect(readFileSync(join(cli.directory, "state/identities/alice.key"))).toEqual(before);
  });

  it.each(["../alice", "Alice", "", "a/b", "-a", "a".repeat(64), "a\nb"])(
    "refuses the name %j",
    async (name) => {
      const { exit, err } = await createCli().run("identity", "create", "--state", "s", "--", name);
      expect(exit).toBe(2);
      expect(err).toMatch(errorLine);
      expect(err).toContain("error[cli/usage]");
    },
  );
});

describe("identity show", () => {
  it("prints fingerprints in groups of four, two lines of eight", async () => {
    const cli = createCli();
    const { value } = await cli.json("identity", "create", "alice");
    const { fingerprint } = value as { fingerprint: string };
    const { out, exit } = await cli.run("identity", "show");
    expect(exit).toBe(0);
    const lines = out.match(/^ {2}(?:[0-9a-f]{4} ){7}[0-9a-f]{4}$/gm) ?? [];
    expect(lines.slice(0, 2).join("").replaceAll(" ", "")).toBe(fingerprint.slice(7));
    expect(out).toContain("simulated");
    expect(out).not.toContain("PRIVATE");
  });

  it("needs a name where there are several, and one that exists", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    await cli.run("identity", "create", "bob");
    for (const args of [[], ["carol"]]) {
      const { exit, value } = await cli.json("identity", "show", ...args);
      expect(exit).toBe(2);
      expect(value).toMatchObject({ error: { id: "cli/no-identity" } });
    }
    expect((await cli.json("identity", "show", "bob")).value).toMatchObject({ name: "bob" });
  });

  it("refuses a key that others can read", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    chmodSync(join(cli.directory, "state/identities/alice.key"), 0o640);
    const { exit, value } = await cli.json("identity", "show");
    expect(exit).not.toBe(0);
    expect(value).toMatchObject({ error: { id: "attestation/unavailable" } });
  });

  it("refuses a state directory that others can enter", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    chmodSync(join(cli.directory, "state"), 0o755);
    const { exit, value } = await cli.json("identity", "show");
    expect(exit).toBe(2);
    expect(value).toMatchObject({ error: { id: "cli/unsafe-permissions" } });
  });

  it("has no state without identity create", async () => {
    const { value } = await createCli().json("identity", "show");
    expect(value).toMatchObject({ error: { id: "cli/not-found" } });
  });
});

describe("identity export", () => {
  it("writes what a peer needs, and no secret", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "bob");
    const { exit, value } = await cli.json("identity", "export");
    expect(exit).toBe(0);
    const party = {
      version: 1,
      name: "bob",
      identity: { fingerprint: named, publicKey: expect.stringMatching(/^[A-Za-z0-9_-]+$/) },
      attestation: { type: "simulated", root: named },
      workloads: {
        psi: { code: digest, runtime: digest, flags: digest },
        federated: { code: digest, runtime: digest, flags: digest },
        serving: { code: digest, runtime: digest, flags: digest },
      },
    };
    const file = join(cli.directory, "bob.party.json");
    expect(value).toEqual({ file, party });
    expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(party);
  });

  it("does not overwrite, and needs a directory", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "bob");
    cli.write("taken.json", "mine");
    const taken = await cli.json("identity", "export", "bob", "--output", "taken.json");
    expect(taken.value).toMatchObject({ error: { id: "cli/exists" } });
    expect(readFileSync(join(cli.directory, "taken.json"), "utf8")).toBe("mine");
    const lost = await cli.json("identity", "export", "bob", "--output", "none/bob.json");
    expect(lost.value).toMatchObject({ error: { id: "cli/not-found", exit: 2 } });
  });

  it("gives the same measurements as another party of the same build", async () => {
    const [a, b] = [createCli(), createCli()];
    const measured = await Promise.all(
      [a, b].map(async (cli) => {
        await cli.run("identity", "create", "x");
        const { value } = await cli.json("identity", "export");
        return (value as { party: { workloads: unknown } }).party.workloads;
      }),
    );
    expect(measured[0]).toEqual(measured[1]);
  });
});
