import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { deviceChecks } from "../src/doctor/devices.ts";
import { nodeCheck, opensslCheck } from "../src/doctor/runtime.ts";
import { measurePsi } from "../src/psi/bundle.ts";
import { createCli, temporaryDirectory } from "./support.ts";

describe("doctor", () => {
  it("looks at everything, and says what falls back and why", async () => {
    const cli = createCli();
    const { value } = await cli.json("doctor");
    const { checks } = value as { checks: { name: string; status: string; detail: string }[] };
    expect(checks.map(({ name }) => name)).toEqual([
      ...["node", "openssl", "platform", "cpu", "cpu.features", "memory"],
      ...["engine.curve25519", "vectors", "engine.duckdb", "engine.tensorflow"],
      ...["isolation.prlimit", "isolation.setpriv", "isolation.unshare", "isolation.uid"],
      ...["device.gramine", "device.sgx", "device.sgx-legacy", "device.configfs-tsm"],
      ...["device.tdx", "device.snp", "device.csv", "device.tpm", "device.nitro", "attester"],
      ...["bundle.psi", "state"],
    ]);
    const status = (name: string) => checks.find((each) => each.name === name)?.status;
    expect(status("engine.curve25519")).toBe("ok");
    expect(status("vectors")).toBe("ok");
    expect(status("engine.duckdb")).toBe("ok");
    expect(status("attester")).toBe("warn");
    expect(status("state")).toBe("info");
    for (const { status, detail } of checks) {
      if (status === "warn") expect(detail).not.toBe("");
    }
  });

  it("fails for a state directory that others can enter", async () => {
    const cli = createCli();
    mkdirSync(join(cli.directory, "state"), { mode: 0o755 });
    const { exit, out } = await cli.run("doctor");
    expect(exit).toBe(1);
    expect(out).toMatch(/^FAIL {2}state .*mode 0755/m);
  });
});

describe("versions", () => {
  const at = Date.UTC(2026, 10, 24);
  it.each([
    ["18.20.0", "fail"],
    ["20.18.3", "fail"],
    ["20.20.2", "warn"],
    ["22.23.3", "ok"],
    ["24.21.0", "ok"],
    ["99.0.0", "info"],
  ])("Node %s: %s", (version, status) => {
    expect(nodeCheck(version, at).status).toBe(status);
  });

  it.each([
    ["3.0.19", "warn"],
    ["3.5.8", "ok"],
    ["4.0.0", "info"],
  ])("OpenSSL %s: %s", (version, status) => {
    expect(opensslCheck(version, at).status).toBe(status);
  });
});

describe("devices", () => {
  it("are looked for by path", async () => {
    const root = temporaryDirectory();
    mkdirSync(dirname(join(root, "dev/tdx_guest")), { recursive: true });
    writeFileSync(join(root, "dev/tdx_guest"), "");
    const checks = await deviceChecks(join(root, "programs"), {}, root);
    const found = checks.find(({ name }) => name === "device.tdx");
    expect(found).toMatchObject({ status: "ok", found: expect.stringContaining("/dev/tdx_guest") });
    expect(checks.find(({ name }) => name === "device.snp")?.status).toBe("info");
    // A file is not a device: it is not taken for an attester.
    expect(checks.at(-1)).toMatchObject({ name: "attester", status: "warn" });
  });
});

describe("measurePsi", () => {
  const manifest = (sha256: string): string =>
    `${JSON.stringify({ version: 1, name: "psi", main: "main.mjs", tasks: null, native: [], files: [{ path: "main.mjs", sha256, size: 3 }] }, null, 2)}\n`;
  // SHA-256 of "abc", FIPS 180-4.
  const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  function bundle(content: string, text: string = manifest(abc)): string {
    const directory = temporaryDirectory();
    writeFileSync(join(directory, "main.mjs"), content);
    writeFileSync(join(directory, "manifest.json"), text);
    return directory;
  }

  it("measures a bundle that is what its manifest says", async () => {
    const { code, runtime, flags } = await measurePsi(bundle("abc"));
    expect([code.length, runtime.length, flags.length]).toEqual([32, 32, 32]);
  });

  it.each([
    ["a changed file", () => bundle("abd")],
    ["a damaged manifest", () => bundle("abc", "{}")],
    ["no manifest", () => temporaryDirectory()],
  ])("refuses %s", async (_title, make) => {
    await expect(measurePsi(make())).rejects.toThrow(
      expect.objectContaining({ domain: "cli", code: "bad-installation" }),
    );
  });
});
