/** Every step of SNP verification, each with the lie that it is there for. */
import { concat, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import type { Assessment } from "../../src/index.ts";
import { snpVerifier } from "../../src/snp/index.ts";
import { now } from "../simulated-subject.ts";
import { judge, verdictOf, warningsOf } from "./judge.ts";
import {
  certificateTable,
  chipId,
  makeReport,
  type ReportLies,
  type SnpLies,
  type SyntheticAmd,
  syntheticAmd,
  tcbBytes,
} from "./snp.ts";
import { pemOf, year } from "./x509.ts";

const crypto = nodeCrypto();
const reportData = new Uint8Array(64).fill(0x42);

async function judged(
  amd: SyntheticAmd,
  bytes: Uint8Array,
  more: {
    readonly collateral?: Readonly<Record<string, Uint8Array>>;
    readonly certificates?: Uint8Array;
  } = {},
): Promise<Assessment> {
  const attachments = more.certificates === undefined ? {} : { certificates: more.certificates };
  const verifier = snpVerifier({ anchors: [amd.ark.der] });
  const evidence = { type: "snp" as const, bytes, attachments };
  return await judge(crypto, verifier, evidence, more.collateral ?? amd.collateral);
}

async function assess(lies: SnpLies, reportLies: ReportLies = {}): Promise<Assessment> {
  const amd = await syntheticAmd(crypto, now, lies);
  return await judged(amd, await makeReport(amd, reportData, reportLies));
}

describe("products, versions and keys", () => {
  test.each([
    ["Milan", 2],
    ["Milan", 3],
    ["Milan", 4],
    ["Genoa", 3],
    ["Genoa", 5],
    ["Turin", 3],
    ["Turin", 5],
  ] as const)("%s, version %d, VCEK and VLEK", async (product, version) => {
    for (const vlek of [false, true]) {
      const assessment = await assess({ product, version, vlek });
      expect([verdictOf(assessment), warningsOf(assessment)]).toEqual(["accepted", []]);
      expect(assessment.claims).toMatchObject({ snp: { product, version } });
    }
  });

  test("both codings of the hardware id", async () => {
    expect(verdictOf(await assess({ rawHardwareId: true }))).toBe("accepted");
    expect(verdictOf(await assess({ product: "Turin", version: 5, rawHardwareId: true }))).toBe(
      "accepted",
    );
  });

  test("Bergamo and Siena are Genoa, at both ends of their models", async () => {
    for (const model of [0x10, 0x1f, 0xa0, 0xaf]) {
      expect(verdictOf(await assess({ product: "Genoa", version: 5 }, { model }))).toBe("accepted");
    }
    for (const model of [0x20, 0x9f, 0xb0]) {
      expect(verdictOf(await assess({ product: "Genoa", version: 5 }, { model }))).toBe(
        "snp.product",
      );
    }
  });
});

describe("certificates that lie", () => {
  const cases: readonly (readonly [string, SnpLies, string])[] = [
    ["an issuer that is no CA", { ask: { ca: false } }, "snp.chain.authority"],
    ["an issuer of another name", { ask: { name: "SEV-Genoa" } }, "snp.issuer-name"],
    ["an issuer that has expired", { ask: { notAfter: now - 1 } }, "snp.chain.dates"],
    ["a root that has expired", { ark: { notAfter: now - 1 } }, "snp.chain.dates"],
    ["a VCEK that has expired", { leaf: { notAfter: now - 1 } }, "snp.chain.dates"],
    ["a VCEK of the future", { leaf: { notBefore: now + year } }, "snp.chain.dates"],
    ["a VLEK that has expired", { vlek: true, leaf: { notAfter: now - 1 } }, "snp.chain.dates"],
    ["a leaf of another name", { leaf: { name: "SEV-OTHER" } }, "snp.certificate"],
    ["a VCEK without its extensions", { leaf: { extensions: [] } }, "malformed"],
    ["a key on P-256", { leaf: { algorithm: "ES256" } }, "snp.key"],
    ["another product name", { productName: "Genoa-B1" }, "snp.product"],
    ["an unknown product name", { productName: "Venice-A0" }, "snp.product"],
    ["Turin in version 2", { product: "Turin", version: 2 }, "snp.product-version"],
    ["a lower TCB", { leafTcb: [3, 0, 7, 115] }, "snp.tcb"],
    ["a higher TCB", { leafTcb: [3, 0, 8, 116] }, "snp.tcb"],
    ["another chip", { hardwareId: new Uint8Array(64).fill(9) }, "snp.chip-id"],
    ["8 bytes of the chip, as on Turin", { hardwareId: chipId.slice(0, 8) }, "snp.chip-id"],
    [
      "64 bytes of the chip on Turin",
      { product: "Turin", version: 5, hardwareId: concat(chipId.slice(0, 8), new Uint8Array(56)) },
      "snp.chip-id",
    ],
    ["a stale CRL", { crl: () => ({ nextUpdate: now - 1 }) }, "snp.crl.dates"],
    ["a CRL of the future", { crl: () => ({ thisUpdate: now + 86_400_000 }) }, "snp.crl.dates"],
    ["a forged CRL", { crl: ({ ask }) => ({ signer: ask.signer }) }, "snp.crl.signature"],
    ["a CRL with the issuer", { crl: ({ ask }) => ({ revoked: [ask.serial] }) }, "snp.crl.listed"],
    ["a CRL with others", { crl: () => ({ revoked: [1, 2, 3] }) }, "accepted"],
  ];
  test.each(cases)("%s", async (_, lies, rule) => {
    expect(verdictOf(await assess(lies))).toBe(rule);
  });

  test("chains of another maker's root, and without any certificate", async () => {
    const amd = await syntheticAmd(crypto, now);
    const other = await syntheticAmd(crypto, now);
    const report = await makeReport(amd, reportData);
    const verifier = snpVerifier({ anchors: [other.ark.der] });
    const evidence = { type: "snp" as const, bytes: report, attachments: {} };
    expect(verdictOf(await judge(crypto, verifier, evidence, amd.collateral))).toBe(
      "snp.chain.signature",
    );
    expect(verdictOf(await judge(crypto, snpVerifier(), evidence, amd.collateral))).toMatch(
      /^snp\.chain/,
    );
    expect(verdictOf(await judge(crypto, verifier, evidence, {}))).toBe("snp.certificate");
    // Another chip's certificate of the same maker did not sign this report.
    const collateral = { certificates: utf8(pemOf(other.leaf.der, other.ask.der)) };
    expect(verdictOf(await judged(other, report, { collateral }))).toBe("snp.signature");
  });

  test("certificates beside the report: PEM, DER, the hypervisor's table", async () => {
    const amd = await syntheticAmd(crypto, now);
    const bytes = await makeReport(amd, reportData);
    const { leaf, ask } = amd;
    for (const certificates of [
      utf8(pemOf(leaf.der, ask.der)),
      concat(leaf.der, ask.der),
      certificateTable(ask.der, leaf.der),
    ]) {
      const assessment = await judged(amd, bytes, { collateral: {}, certificates });
      expect([verdictOf(assessment), warningsOf(assessment)]).toEqual([
        "accepted",
        ["snp.crl-absent"],
      ]);
    }
    const table = certificateTable(ask.der, leaf.der);
    for (const at of [16, 20, 40, 44]) {
      const broken = new Uint8Array(table);
      broken.fill(0xff, at, at + 4);
      expect(
        verdictOf(await judged(amd, bytes, { collateral: {}, certificates: broken })),
      ).not.toBe("accepted");
    }
  });
});

describe("reports that lie", () => {
  test.each([
    ["another algorithm", { algorithm: 2 }, "snp.algorithm"],
    ["policy bit 17 clear", { policy: 0x1_0000n }, "snp.policy-form"],
    ["no signing key", { keyInfo: 7 << 2 }, "snp.signing-key"],
    ["a VLEK by its word", { keyInfo: 4 }, "snp.certificate"],
    ["debug", { policy: 0xb_0000n }, "debug"],
    ["another family", { family: 0x17 }, "snp.product"],
    ["another chip", { chipId: new Uint8Array(64).fill(3) }, "snp.chip-id"],
    ["another reported TCB", { reported: tcbBytes("Milan", [3, 0, 9, 115]) }, "snp.tcb"],
  ] as const)("%s", async (_, lies, rule) => {
    expect(verdictOf(await assess({}, lies as ReportLies))).toBe(rule);
  });

  test.each([
    ["VMPL 1", { vmpl: 1 }, ["snp.vmpl"]],
    ["a migration agent", { policy: 0x7_0000n }, ["snp.migration-agent"]],
    ["a policy bit of the future", { policy: 0x8003_0000n }, ["snp.unknown-policy-bits"]],
    ["a masked chip", { chipId: new Uint8Array(64) }, ["snp.chip-id-masked"]],
    [
      "provisional firmware",
      { current: tcbBytes("Milan", [3, 0, 9, 120]) },
      ["snp.provisional-firmware"],
    ],
    [
      "an uncommitted TCB",
      { committed: tcbBytes("Milan", [3, 0, 7, 115]) },
      ["snp.provisional-firmware"],
    ],
  ] as const)("%s has a name", async (_, lies, names) => {
    const assessment = await assess({}, lies as ReportLies);
    expect([verdictOf(assessment), warningsOf(assessment)]).toEqual(["accepted", names]);
  });

  test("lengths and versions", async () => {
    const amd = await syntheticAmd(crypto, now);
    const report = await makeReport(amd, reportData);
    for (const bytes of [
      report.slice(0, 1183),
      concat(report, new Uint8Array(1)),
      new Uint8Array(0),
    ]) {
      expect(verdictOf(await judged(amd, bytes))).toBe("malformed");
    }
    for (const version of [0, 1, 6, 255]) {
      const other = new Uint8Array(report);
      other[0] = version;
      expect(verdictOf(await judged(amd, other))).toBe("malformed");
    }
  });

  test("numbers and switches that policies can name", async () => {
    const { verified } = await assess({ product: "Turin", version: 5 });
    expect(verified?.svn).toMatchObject({
      reported_tcb_fmc: 0,
      reported_tcb_bootloader: 3,
      committed_tcb_snp: 8,
      launch_tcb_microcode: 115,
    });
    expect(verified?.attributes).toMatchObject({
      smt_allowed: true,
      single_socket: false,
      debug: false,
    });
  });
});
