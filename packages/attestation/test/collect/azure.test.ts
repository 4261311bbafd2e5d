/** Azure's vTPM on a software TPM with a synthetic AMD below: collected, and verified as one. */
import { createPublicKey } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { azureVtpmAttester } from "../../src/collect/index.ts";
import { readTpmAk } from "../../src/collect/tpm/attester.ts";
import { nvRead } from "../../src/collect/tpm/commands.ts";
import { openTpm } from "../../src/collect/tpm/device.ts";
import { snpVerifier } from "../../src/snp/index.ts";
import { parseTpmPublic } from "../../src/tpm/structures.ts";
import { azureVtpmVerifier } from "../../src/vtpm/index.ts";
import { makeReport, syntheticAmd } from "../synthetic/snp.ts";
import { pemOf } from "../synthetic/x509.ts";
import { noTpm, type SoftwareTpm, startTpm } from "./swtpm.ts";

const crypto = nodeCrypto();
const binding = Uint8Array.from({ length: 64 }, (_, i) => 255 - i);
const key = 0x8100_0003;

/** RSASSA with SHA-256, as the paravisor makes it. */
function makeKey(tpm: SoftwareTpm): void {
  tpm.tool("tpm2_createek", "-c", "ek.ctx", "-G", "ecc");
  const scheme = ["-G", "rsa", "-g", "sha256", "-s", "rsassa"];
  tpm.tool("tpm2_createak", "-C", "ek.ctx", "-c", "ak.ctx", ...scheme);
  tpm.tool("tpm2_flushcontext", "-t");
  tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", "ak.ctx", "0x81000003");
}

const u32le = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);

/** What the paravisor leaves at NV index 0x01400001. */
async function hclReport(
  amd: Awaited<ReturnType<typeof syntheticAmd>>,
  address: string,
  userData: Uint8Array,
): Promise<Uint8Array> {
  const { spki } = parseTpmPublic(await readTpmAk({ address, key }));
  const { n } = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).export({
    format: "jwk",
  });
  const runtime = utf8(
    JSON.stringify({
      keys: [{ kid: "HCLAkPub", key_ops: ["sign"], kty: "RSA", e: "AQAB", n }],
      "user-data": toHex(userData).toUpperCase(),
    }),
  );
  const data = new Uint8Array(64);
  data.set(await crypto.digest("SHA-256", runtime));
  const report = await makeReport(amd, data);
  const head = concat(utf8("HCLA"), new Uint8Array(28), report);
  const size = u32le(runtime.length + 20);
  return concat(head, size, u32le(1), u32le(2), u32le(1), u32le(runtime.length), runtime);
}

describe.skipIf(noTpm !== undefined)("Azure's vTPM", () => {
  async function prepared(tpm: SoftwareTpm, userData: Uint8Array) {
    makeKey(tpm);
    const amd = await syntheticAmd(crypto, Date.now());
    const hcl = await hclReport(amd, tpm.address, userData);
    const file = join(mkdtempSync(join(tmpdir(), "vivarium-hcl-")), "hcl");
    writeFileSync(file, hcl);
    const rights = ["-C", "o", "-a", "ownerread|ownerwrite|authread|authwrite"];
    tpm.tool("tpm2_nvdefine", "0x01400001", "-s", String(hcl.length), ...rights);
    tpm.tool("tpm2_nvwrite", "0x01400001", "-C", "o", "-i", file);
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = async (url, init) => {
      asked.push(String(url));
      expect(new Headers(init?.headers).get("metadata")).toBe("true");
      const certificateChain = pemOf(amd.ask.der, amd.ark.der);
      return Response.json({ vcekCert: pemOf(amd.leaf.der), certificateChain });
    };
    const verifier = azureVtpmVerifier({ tee: snpVerifier({ anchors: [amd.ark.der] }) });
    const { crl } = amd.collateral;
    const collateral = crl === undefined ? {} : { crl };
    return { fetch, asked, verifier, context: { crypto, now: Date.now(), collateral } };
  }

  test("a report made for the session leaves nothing to allow", async () => {
    await using tpm = await startTpm();
    const nonce = await crypto.digest("SHA-256", binding);
    const { fetch, asked, verifier, context } = await prepared(
      tpm,
      concat(nonce, new Uint8Array(32)),
    );
    const { address } = tpm;
    const attester = await azureVtpmAttester({ address, fetch, reportMs: 1 });
    const evidence = await attester.collect(binding);
    const verified = await verifier.verify(evidence, context);
    expect(verified).toMatchObject({ type: "az-snp-vtpm", isolation: "tee", reportData: nonce });
    expect(verified.relaxations.map(({ name }) => name)).not.toContain(
      "vtpm.stale-hardware-report",
    );
    expect(verified.measurements["pcr23"]).toHaveLength(32);
    expect(asked).toEqual(["http://169.254.169.254/metadata/THIM/amd/certification"]);
    // What the paravisor was asked to sign.
    await using device = await openTpm({ address });
    const written = await nvRead(device, 0x0140_0002);
    expect(written).toEqual(concat(nonce, new Uint8Array(32)));
  });

  test("a report of the start is named as such", async () => {
    await using tpm = await startTpm();
    const { fetch, verifier, context } = await prepared(tpm, new Uint8Array(64));
    const attester = await azureVtpmAttester({ address: tpm.address, fetch, reportMs: 0 });
    const verified = await verifier.verify(await attester.collect(binding), context);
    expect(verified.relaxations.map(({ name }) => name)).toContain("vtpm.stale-hardware-report");
  });

  test("a metadata service that fails is named", async () => {
    await using tpm = await startTpm();
    await prepared(tpm, new Uint8Array(64));
    const { address } = tpm;
    for (const answer of [
      async () => new Response("", { status: 500 }),
      async () => new Response("<html>"),
      async () => Response.json({}),
      async () => Promise.reject(new TypeError("fetch failed")),
    ]) {
      const attester = await azureVtpmAttester({ address, fetch: answer, reportMs: 0 });
      await expect(attester.collect(binding)).rejects.toThrow(/metadata service/);
    }
  });

  test("a TPM without the paravisor's report is none of Azure's", async () => {
    await using tpm = await startTpm();
    const made = azureVtpmAttester({ address: tpm.address });
    await expect(made).rejects.toMatchObject({ code: "unavailable" });
  });
});
