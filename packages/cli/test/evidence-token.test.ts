/** Tokens of attestation services by the command line. */
import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, it } from "vitest";
import { type Cli, createCli } from "./support.ts";

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token of Intel Trust Authority's form, and its key set. */
function makeToken(cli: Cli, more: object = {}): void {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const now = Math.floor(Date.now() / 1000);
  const payload = {
    ...{ iss: "Intel Trust Authority", iat: now, exp: now + 300, attester_type: "TDX" },
    ...{ attester_tcb_status: "UpToDate", tdx_is_debuggable: false, eat_nonce: "n1" },
    ...more,
  };
  const input = `${part({ alg: "RS256", typ: "JWT" })}.${part(payload)}`;
  const signature = sign("sha256", Buffer.from(input), privateKey).toString("base64url");
  cli.write("ita.jwt", `${input}.${signature}\n`);
  cli.write("jwks.json", JSON.stringify({ keys: [publicKey.export({ format: "jwk" })] }));
}

const verify = ["evidence", "verify", "ita.jwt"];
const pinned = ["--collateral", "jwks.json", "--issuer", "Intel Trust Authority"];

describe("a token", () => {
  it("is accepted under its service's keys, and labelled", async () => {
    const cli = createCli();
    makeToken(cli);
    const { exit, out } = await cli.run(...verify, ...pinned, "--nonce", "n1");
    expect(exit).toBe(0);
    expect(out).toContain("NOT TRIED on one");
    expect(out).toContain("opens no channel");
    const { value } = await cli.json(...verify, ...pinned);
    expect(value).toMatchObject({ form: "token", type: "ita", tee: "tdx", accepted: true });
    expect((await cli.run("evidence", "show", "ita.jwt")).out).toContain("Not judged");
  });

  it.each([
    [{}, ["--nonce", "other"]],
    [{ attester_tcb_status: "OutOfDate" }, []],
    [{ tdx_is_debuggable: true }, []],
    [{ exp: 1 }, []],
  ])("%j %j is refused with exit code 3", async (claims, args) => {
    const cli = createCli();
    makeToken(cli, claims);
    const { exit, out } = await cli.run(...verify, ...pinned, ...args);
    expect(exit).toBe(3);
    expect(out).toMatch(/^FAIL /m);
  });

  it.each<[string[], string]>([
    [[], "A token needs its service's keys"],
    [["--policy", "policy.yaml"], "--policy has no meaning for a token"],
  ])("needs what pins it: %j", async (args, message) => {
    const cli = createCli();
    makeToken(cli);
    const { exit, err } = await cli.run(...verify, ...args);
    expect(exit).toBe(2);
    expect(err).toContain(message);
  });

  it("has options that evidence does not have", async () => {
    const cli = createCli();
    cli.write("quote.bin", new Uint8Array(100));
    const { exit, err } = await cli.run("evidence", "verify", "quote.bin", "--issuer", "x");
    expect(exit).toBe(2);
    expect(err).toContain("--issuer is for tokens only");
  });
});
