/** `collateral fetch`, `show`, `bundle`: from a service to a bundle to a verdict without a network. */
import { createServer, type Server } from "node:http";
import { nodeCrypto } from "@vivarium/core/node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
// @boundaries-ignore a synthetic AMD for tests of two packages; nothing of it ships
import { makeReport, syntheticAmd } from "../../attestation/test/synthetic/snp.ts";
// @boundaries-ignore see above
import { pemOf } from "../../attestation/test/synthetic/x509.ts";
import { createCli } from "./support.ts";

const crypto = nodeCrypto();
let server: Server;
let base: string;
let down = false;
let made: Awaited<ReturnType<typeof syntheticAmd>>;
let report: Uint8Array;

beforeEach(async () => {
  down = false;
  made = await syntheticAmd(crypto, Date.now());
  report = await makeReport(made, new Uint8Array(64));
  server = createServer((request, response) => {
    if (down) return void request.socket.destroy();
    const url = request.url ?? "";
    if (url.endsWith("/cert_chain")) return void response.end(pemOf(made.ask.der, made.ark.der));
    return void response.end(url.endsWith("/crl") ? made.collateral["crl"] : made.leaf.der);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe("collateral", () => {
  it("is fetched once, shown with its end, and verifies without a network", async () => {
    const cli = createCli();
    cli.write("report.bin", report);
    cli.write("root.pem", pemOf(made.ark.der));
    const fetch = ["collateral", "fetch", "report.bin", "--kds", base];
    const { exit, out, err } = await cli.run(...fetch, "--output", "snp.collateral");
    expect(exit).toBe(0);
    expect(out).toMatch(/until .*certificate SEV-VCEK/);
    expect(err).toContain("Asking 127.0.0.1");
    down = true;
    const verify = ["evidence", "verify", "report.bin", "--root", "root.pem", "--collateral"];
    expect((await cli.run(...verify, "snp.collateral")).exit).toBe(0);
    // The cache knows it, also by name of another service.
    const again = await cli.run(...fetch, "--offline", "--output", "again.collateral");
    expect(again.exit).toBe(0);
    const { value } = await cli.json("collateral", "show", "again.collateral");
    expect(value).toMatchObject({
      ended: 0,
      items: expect.arrayContaining([expect.objectContaining({ entry: "crl" })]),
    });
  });

  it("of several files is one bundle", async () => {
    const cli = createCli();
    cli.write("leaf.der", made.leaf.der);
    cli.write("ask.pem", pemOf(made.ask.der));
    cli.write("milan.crl", made.collateral["crl"] as Uint8Array);
    const files = ["leaf.der", "ask.pem", "milan.crl"];
    const { exit, out } = await cli.run(
      "collateral",
      "bundle",
      ...files,
      "--output",
      "b.collateral",
    );
    expect(exit).toBe(0);
    expect(out).toContain("certificate SEV-Milan");
    expect((await cli.run("collateral", "show", "b.collateral")).out).toContain(
      "Nothing has ended.",
    );
  });

  it("that has ended is said to have, with exit code 1", async () => {
    const cli = createCli({ now: () => Date.now() + 400 * 86_400_000 });
    cli.write("milan.crl", made.collateral["crl"] as Uint8Array);
    const { exit, out } = await cli.run("collateral", "show", "milan.crl");
    expect(exit).toBe(1);
    expect(out).toContain("ENDED until");
  });

  it.each<[string[], RegExp, number]>([
    [["fetch", "report.bin", "--kds", "ftp://x", "--output", "o"], /--kds must be an address/, 2],
    [
      ["fetch", "report.bin", "--kds", "https://u@x/?a", "--output", "o"],
      /--kds must be an address/,
      2,
    ],
    [["fetch", "report.bin", "--offline", "--output", "o"], /attestation\/unreachable/, 1],
    [["fetch", "no.bin", "--output", "o"], /no\.bin/, 2],
    [["show", "report.bin"], /no collateral that is known/, 2],
    [["show"], /Missing required argument/, 2],
  ])("%j is one clear line", async (args, message, code) => {
    const cli = createCli();
    cli.write("report.bin", report);
    const { exit, err } = await cli.run("collateral", ...args);
    expect(err).toMatch(message);
    expect(exit).toBe(code);
  });
});
