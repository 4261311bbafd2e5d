/** The key broker by the command line: from a policy file to a secret that opens a sealed model. */
import { cpSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
// @boundaries-ignore a software TPM for tests of three packages; nothing of it ships
import { noTpm, startTpm } from "../../attestation/test/collect/swtpm.ts";
import { run } from "../src/program.ts";
import { type Cli, createCli, fakeIo } from "./support.ts";

const name = "models/key/spam";

interface Made {
  readonly key: string;
  readonly pin: string;
}

async function initialised(): Promise<{ cli: Cli; made: Made }> {
  const cli = createCli();
  const { exit, value } = await cli.json("broker", "init", "--name", "test/broker");
  expect(exit).toBe(0);
  expect((await cli.run("file", "keygen", "root.key")).exit).toBe(0);
  return { cli, made: value as Made };
}

/** Serves in this process until the test ends, or is stopped. */
async function serving(cli: Cli, ...more: string[]) {
  const abort = new AbortController();
  const { io, printed } = fakeIo(cli.directory);
  const args = ["broker", "serve", "--key", "root.key", "--listen", "127.0.0.1:0", "--json"];
  const ended = run([...args, "--state", "state", ...more], { ...io, signal: abort.signal });
  const stop = async () => {
    abort.abort();
    return await ended;
  };
  onTestFinished(async () => void (await stop()));
  let done = false;
  void ended.then(() => {
    done = true;
  });
  while (!printed().out.includes("\n") && !done) await new Promise((r) => setTimeout(r, 10));
  const { out, err } = printed();
  const { port } = (out === "" ? {} : JSON.parse(out)) as { port?: number };
  return { url: `https://127.0.0.1:${port}`, stop, err, out };
}

function policyOf(record: string): string {
  return `identity: any-instance
isolation: [${record.includes("type: tpm") ? "none" : "simulated"}]
accept:
${record}
    binding: session
    minimumSvn: {}
    tcb: [UpToDate]
    debug: false
    maxAgeSeconds: 60
`;
}

/** What `evidence collect` says of the simulated instance that `broker get` is. */
async function simulatedRecord(cli: Cli): Promise<string> {
  await cli.run("identity", "create", "alice");
  await cli.run("identity", "export", "alice", "--output", "alice.party.json");
  const collect = ["evidence", "collect", "--report-data", "00".repeat(64), "--output", "e"];
  const { value } = await cli.json(...collect);
  const { root, measurements } = value as { root: string; measurements: Record<string, string> };
  const pins = ["code", "runtime", "flags"].map((pin) => `      ${pin}: ["${measurements[pin]}"]`);
  return `  - type: simulated
    isolation: simulated
    root: ${root}
    measurements:
${pins.join("\n")}`;
}

describe("broker", () => {
  it("releases a model's key to an accepted instance; the log proves it to an auditor", async () => {
    const { cli, made } = await initialised();
    cli.write("model.bin", "weights");
    await cli.run("file", "keygen", "model.key");
    await cli.run("file", "seal", "model.bin", "--key", "model.key");
    cli.write("policy.yaml", policyOf(await simulatedRecord(cli)));
    const first = await serving(cli);
    const put = ["broker", "put", name, "--secret", "model.key", "--owner", "alice"];
    expect(await cli.json(...put, "--policy", "policy.yaml")).toMatchObject({
      exit: 0,
      value: { number: 1, owner: "alice" },
    });
    expect((await cli.run("broker", "list")).out).toMatch(/SIMULATED evidence is enough/);
    const get = (output: string, pin = made.pin) =>
      cli.run(...["broker", "get", name, "--url", first.url, "--pin", pin, "--output", output]);
    expect(await get("got.key")).toMatchObject({
      exit: 0,
      err: expect.stringMatching(/SIMULATED/),
    });
    expect(statSync(join(cli.directory, "got.key")).mode & 0o777).toBe(0o600);
    expect(
      (await cli.run("file", "open", "model.bin.sealed", "--key", "got.key", "--output", "out"))
        .exit,
    ).toBe(0);
    expect(readFileSync(join(cli.directory, "out"), "utf8")).toBe("weights");
    expect(await get("x", `sha256:${"0".repeat(64)}`)).toMatchObject({
      exit: 1,
      err: expect.stringMatching(/^SIMULATED[^\n]*\nerror\[workers\/secret-unavailable\]/),
    });
    cpSync(join(cli.directory, "state/broker/log/checkpoint"), join(cli.directory, "seen"));
    expect((await cli.run("broker", "revoke", name, "--yes")).exit).toBe(0);
    expect((await get("y")).exit).toBe(1);
    expect(await first.stop()).toBe(0);

    const audit = ["--log", "state/broker/log", "--key", made.key];
    expect((await cli.run("audit", "verify", ...audit, "--since", "seen")).exit).toBe(0);
    const { value } = await cli.json("audit", "show", ...audit);
    const { entries } = value as { entries: { event: string; findings?: string[] }[] };
    expect(entries.map(({ event }) => event)).toEqual([
      ...["start", "change", "release", "change", "refusal"],
    ]);
    expect(entries.at(-1)?.findings).toEqual([expect.stringMatching(/^resource\.revoked/)]);
  });

  it("serves no store that was set back, and none behind what the outside has seen", async () => {
    const { cli } = await initialised();
    const at = (path: string) => join(cli.directory, path);
    cli.write("policy.yaml", policyOf(await simulatedRecord(cli)));
    cli.write("secret", "x");
    cpSync(at("state/broker"), at("yesterday"), { recursive: true });
    const put = (to: string) => {
      const options = ["--secret", "secret", "--owner", "alice", "--policy", "policy.yaml"];
      return cli.run("broker", "put", to, ...options);
    };
    const first = await serving(cli);
    for (const tag of ["a", "b"]) expect((await put(`r/t/${tag}`)).exit).toBe(0);
    expect((await serving(cli)).err).toMatch(/broker\/in-use/);
    await first.stop();
    cpSync(at("state/broker/log/checkpoint"), at("seen"));
    cpSync(at("state/broker"), at("today"), { recursive: true });

    rmSync(at("state/broker/store.sealed"));
    expect((await serving(cli)).err).toMatch(/broker\/rolled-back/);
    rmSync(at("state/broker"), { recursive: true });
    cpSync(at("yesterday"), at("state/broker"), { recursive: true });
    expect((await serving(cli, "--checkpoint", "seen")).err).toMatch(/broker\/forked/);
    expect((await serving(cli, "--checkpoint", "absent")).err).toMatch(/cli\/not-found/);
    rmSync(at("state/broker"), { recursive: true });
    cpSync(at("today"), at("state/broker"), { recursive: true });
    const again = await serving(cli, "--checkpoint", "seen");
    expect(JSON.parse(again.out)).toMatchObject({ serving: true, resources: 2 });
    await again.stop();
    expect((await put("r/t/c")).err).toMatch(/broker\/unavailable/);
    await cli.run("file", "keygen", "other.key");
    const args = ["broker", "serve", "--key", "other.key", "--listen", "127.0.0.1:0"];
    expect((await cli.run(...args)).err).toMatch(/seal\/wrong-key/);
  });

  it("serves no log behind what its witness has seen, nor without the witness", async () => {
    const { cli, made } = await initialised();
    const at = (path: string) => join(cli.directory, path);
    const other = createCli();
    const abort = new AbortController();
    const { io, printed } = fakeIo(other.directory);
    const ended = run(
      [
        ...["audit", "witness", "--name", "test/w1", "--of", made.key, "--listen", "127.0.0.1:0"],
        ...["--json", "--state", "state"],
      ],
      { ...io, signal: abort.signal },
    );
    onTestFinished(async () => {
      abort.abort();
      await ended;
    });
    while (!printed().out.includes("\n")) await new Promise((r) => setTimeout(r, 10));
    const { port, key } = JSON.parse(printed().out) as { port: number; key: string };
    const witness = ["--witness", `http://127.0.0.1:${port}`, "--witness-key", key];
    cpSync(at("state/broker"), at("yesterday"), { recursive: true });
    for (let i = 0; i < 2; i++) await (await serving(cli, ...witness)).stop();
    rmSync(at("state/broker"), { recursive: true });
    cpSync(at("yesterday"), at("state/broker"), { recursive: true });
    expect((await serving(cli, ...witness)).err).toMatch(/broker\/rolled-back/);
    // Nothing was added to it; with another history of the right length the answer is another one.
    for (let i = 0; i < 2; i++) await (await serving(cli)).stop();
    expect((await serving(cli, ...witness)).err).toMatch(/broker\/forked/);
    abort.abort();
    expect(await ended).toBe(0);
    expect((await serving(cli, ...witness)).err).toMatch(/broker\/unavailable/);
    expect((await serving(cli, "--witness", "http://127.0.0.1:1")).err).toMatch(/cli\/usage/);
  });

  it("takes no policy that leaves something out, and no command without a broker", async () => {
    const { cli } = await initialised();
    expect((await cli.run("broker", "init", "--name", "again")).err).toMatch(/cli\/exists/);
    expect((await cli.run("broker", "list")).err).toMatch(/broker\/unavailable/);
    cli.write("secret", "x");
    const record = await simulatedRecord(cli);
    const server = await serving(cli);
    for (const bad of [
      policyOf(record).replace("isolation: [simulated]", "isolation: [tee]"),
      policyOf(record).replace("identity: any-instance\n", ""),
      policyOf(record).replace(/ {4}root:[^\n]*\n/, ""),
      policyOf(record).replace(/ {6}code:[^\n]*\n/, ""),
      policyOf(record).replace("debug: false", "debug: true"),
    ]) {
      cli.write("policy.yaml", bad);
      const put = ["broker", "put", name, "--secret", "secret", "--owner", "alice"];
      const { exit, err } = await cli.run(...put, "--policy", "policy.yaml");
      expect([exit, err]).toEqual([2, expect.stringMatching(/^error\[broker\//)]);
    }
    await server.stop();
  });

  it.skipIf(noTpm !== undefined)("releases on a TPM's evidence, end to end", async () => {
    await using tpm = await startTpm();
    const { cli, made } = await initialised();
    const collect = ["--from", "tpm", "--tpm", tpm.address, "--ak", "vm.ak", "--output", "e"];
    const { value } = await cli.json(
      ...["evidence", "collect", "--report-data", "00".repeat(64), ...collect],
    );
    const { root } = value as { root: string };
    const pcr = tpm
      .tool("tpm2_pcrread", "sha256:4")
      .replace(/[\s\S]*0x/, "")
      .trim()
      .toLowerCase();
    const policy = (value4: string) =>
      policyOf(`  - type: tpm
    isolation: none
    root: ${root}
    measurements:
      pcr04: ["${value4}"]`);
    cli.write("policy.yaml", policy(pcr));
    cli.write("secret", "for the TPM");
    const { url, stop } = await serving(cli, "--collateral", "vm.ak");
    const put = ["broker", "put", name, "--secret", "secret", "--owner", "alice"];
    expect((await cli.run(...put, "--policy", "policy.yaml")).exit).toBe(0);
    const get = (output: string) =>
      cli.run(
        ...["broker", "get", name, "--url", url, "--pin", made.pin, "--output", output],
        ...["--from", "tpm", "--tpm", tpm.address],
      );
    expect((await get("got")).exit).toBe(0);
    expect(readFileSync(join(cli.directory, "got"), "utf8")).toBe("for the TPM");
    cli.write("policy.yaml", policy("ab".repeat(32)));
    expect((await cli.run("broker", "policy", name, "--policy", "policy.yaml")).exit).toBe(0);
    expect((await get("again")).exit).toBe(1);
    const { out } = await cli.run("audit", "show", "--log", "state/broker/log", "--key", made.key);
    expect(out).toMatch(/refusal .*measurement\.pcr04: expected abab/);
    await stop();
  });
});
