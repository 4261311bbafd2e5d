/** Every step of DCAP verification, each with the lie that it is there for. */
import { concat, manualClock } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { type Assessment, assessEvidence } from "../../src/index.ts";
import { sgxVerifier } from "../../src/sgx/index.ts";
import { tdxVerifier } from "../../src/tdx/index.ts";
import { now } from "../simulated-subject.ts";
import {
  type DcapLies,
  makeQuote,
  type QuoteLies,
  type SyntheticIntel,
  syntheticIntel,
} from "./dcap.ts";
import { makeCertificate, pemOf, year } from "./x509.ts";

const crypto = nodeCrypto();
const reportData = new Uint8Array(64).fill(0x42);
const day = 86_400_000;
const at = (ms: number): string => new Date(ms).toISOString();

async function assess(
  kind: "SGX" | "TDX",
  lies: DcapLies = {},
  quoteLies: QuoteLies = {},
  time = now,
): Promise<Assessment> {
  const intel = await syntheticIntel(crypto, now, kind, lies);
  const bytes = await makeQuote(intel, kind, reportData, quoteLies);
  return await judged(intel, kind, bytes, time);
}

async function judged(
  intel: SyntheticIntel,
  kind: "SGX" | "TDX",
  bytes: Uint8Array,
  time = now,
): Promise<Assessment> {
  const options = { anchors: [intel.root.der] };
  const clock = manualClock(time);
  return await assessEvidence(
    { type: kind === "SGX" ? "sgx" : "tdx", bytes, attachments: {} },
    {
      verifiers: [sgxVerifier(options), tdxVerifier(options)],
      crypto,
      now: clock.now(),
      collateral: intel.collateral,
      reportData,
    },
  );
}

const failed = ({ findings }: Assessment): string =>
  findings.findLast(({ severity }) => severity === "error")?.rule ?? "accepted";

describe("collateral that lies", () => {
  const cases: readonly (readonly [string, DcapLies, string])[] = [
    ["nothing", {}, "accepted"],
    ["a root of another name", { root: { name: "Intel SGX Root CA 2" } }, "dcap.pck.root-name"],
    ["an intermediate that is no CA", { pckCa: { ca: false } }, "dcap.pck.chain.authority"],
    ["an intermediate that has expired", { pckCa: { notAfter: now - 1 } }, "dcap.pck.chain.dates"],
    [
      "an intermediate of another name",
      { pckCa: { name: "Intel SGX PCK Other CA" } },
      "dcap.pck.ca-name",
    ],
    ["a PCK that has expired", { pck: { notAfter: now - 1 } }, "dcap.pck.chain.dates"],
    ["a PCK that is not valid yet", { pck: { notBefore: now + day } }, "dcap.pck.chain.dates"],
    ["a PCK of another name", { pck: { name: "Somebody" } }, "dcap.pck.name"],
    [
      "a PCK that names another issuer",
      { pck: { issuerName: "Intel SGX PCK Processor CA" } },
      "dcap.pck.chain.issuer",
    ],
    [
      "a PCK with an unknown critical extension",
      { pck: { extensions: [["1.2.3.4", new Uint8Array([5, 0]), true]] } },
      "dcap.pck.chain.critical",
    ],
    [
      "a TCB signer of another name",
      { tcbSigner: { name: "Intel SGX Signing" } },
      "dcap.tcb-info.name",
    ],
    [
      "a TCB signer that has expired",
      { tcbSigner: { notAfter: now - 1 } },
      "dcap.tcb-info.chain.dates",
    ],
    [
      "a root CRL that is stale",
      { rootCrl: () => ({ nextUpdate: now - 1 }) },
      "dcap.root.crl.dates",
    ],
    [
      "a root CRL of the future",
      { rootCrl: () => ({ thisUpdate: now + day }) },
      "dcap.root.crl.dates",
    ],
    [
      "a root CRL by somebody else",
      { rootCrl: ({ pckCa }) => ({ signer: pckCa.signer }) },
      "dcap.root.crl.signature",
    ],
    [
      "a root CRL with the intermediate",
      { rootCrl: ({ pckCa }) => ({ revoked: [pckCa.serial] }) },
      "dcap.root.crl.listed",
    ],
    [
      "a root CRL with the TCB signer",
      { rootCrl: ({ tcbSigner }) => ({ revoked: [tcbSigner.serial] }) },
      "dcap.root.crl.listed",
    ],
    ["a PCK CRL that is stale", { pckCrl: () => ({ nextUpdate: now - 1 }) }, "dcap.pck.crl.dates"],
    [
      "a PCK CRL by somebody else",
      { pckCrl: ({ root }) => ({ signer: root.signer }) },
      "dcap.pck.crl.signature",
    ],
    [
      "a PCK CRL with the PCK",
      { pckCrl: ({ pck }) => ({ revoked: [1, pck.serial, 2] }) },
      "dcap.pck.crl.listed",
    ],
    ["a PCK CRL with others only", { pckCrl: () => ({ revoked: [1, 2, 3] }) }, "accepted"],
    [
      "bodies changed after signing",
      {
        afterSigning: (text) =>
          text.replace('"tcbEvaluationDataNumber":17', '"tcbEvaluationDataNumber":18'),
      },
      "dcap.tcb-info.signature",
    ],
    [
      "bodies with another space after signing",
      { afterSigning: (text) => text.replace(",", ", ") },
      "dcap.tcb-info.signature",
    ],
    ["TCB info that is stale", { tcbInfo: { nextUpdate: at(now - 1000) } }, "dcap.tcb-info.dates"],
    ["TCB info of the future", { tcbInfo: { issueDate: at(now + day) } }, "dcap.tcb-info.dates"],
    ["TCB info of the other TEE", { tcbInfo: { id: "TDX" } }, "dcap.tcb-info.id"],
    ["TCB info of another platform", { tcbInfo: { fmspc: "00906ed50001" } }, "dcap.tcb-info.fmspc"],
    ["TCB info of another PCE", { tcbInfo: { pceId: "0001" } }, "dcap.tcb-info.pceid"],
    ["TCB info of version 2", { tcbInfo: { version: 2 } }, "malformed"],
    ["TCB info without levels", { tcbInfo: { tcbLevels: [] } }, "malformed"],
    ["a PCK of another platform", { fmspc: "00906ed50009" }, "dcap.tcb-info.fmspc"],
    [
      "a QE identity that is stale",
      { qeIdentity: { nextUpdate: at(now - 1000) } },
      "dcap.qe-identity.dates",
    ],
    ["a QE identity of another enclave", { qeIdentity: { id: "TD_QE" } }, "dcap.qe-identity.id"],
    [
      "a QE identity with another signer",
      { qeIdentity: { mrsigner: "11".repeat(32) } },
      "dcap.qe.mrsigner",
    ],
    ["a QE identity with another product", { qeIdentity: { isvprodid: 1 } }, "dcap.qe.isvprodid"],
    [
      "a platform below every level",
      { components: new Array<number>(16).fill(0) },
      "dcap.tcb.supported",
    ],
  ];
  test.each(cases)("%s", async (_, lies, rule) => {
    expect(failed(await assess("SGX", lies))).toBe(rule);
  });
});

describe("SGX quotes that lie", () => {
  let stranger: Awaited<ReturnType<typeof crypto.generateSigner>>;
  beforeAll(async () => {
    stranger = await crypto.generateSigner("ES256");
  });
  test.each([
    ["debug", { debug: true }, "debug"],
    ["another QE vendor", { vendor: new Uint8Array(16) }, "dcap.qe-vendor"],
    ["another signer of the QE", { qeMrSigner: new Uint8Array(32) }, "dcap.qe.mrsigner"],
    ["another product of the QE", { qeProdId: 1 }, "dcap.qe.isvprodid"],
    ["a debug QE", { qeAttributes: 0x17 }, "dcap.qe.attributes"],
    ["another MISCSELECT of the QE", { qeMiscSelect: 1 }, "dcap.qe.miscselect"],
    ["a QE that names another key", { unboundKey: true }, "dcap.qe.binding"],
    ["a QE below every level", { qeSvn: 1 }, "dcap.qe.supported"],
    ["an old QE", { qeSvn: 5 }, "tcb"],
    ["a revoked QE", { qeSvn: 2 }, "tcb"],
  ] as const)("%s", async (_, lies, rule) => {
    expect(failed(await assess("SGX", {}, lies))).toBe(rule);
  });

  test("signatures by strangers, of the QE report and of the quote", async () => {
    expect(failed(await assess("SGX", {}, { qeReportSigner: stranger }))).toBe("dcap.qe.signature");
    expect(failed(await assess("SGX", {}, { quoteSigner: stranger }))).toBe("dcap.signature");
  });

  test("chains of other lengths, orders and roots", async () => {
    const intel = await syntheticIntel(crypto, now, "SGX");
    const other = await makeCertificate(crypto, now, { name: "Intel SGX Root CA", ca: true });
    const { pck, pckCa, root } = intel;
    for (const [chain, rule] of [
      [[pck.der, pckCa.der], "dcap.pck.length"],
      [[pck.der, pckCa.der, root.der, root.der], "dcap.pck.length"],
      [[pckCa.der, pck.der, root.der], "dcap.pck.chain"],
      [[pck.der, pckCa.der, other.der], "dcap.pck.chain.anchor"],
    ] as const) {
      const bytes = await makeQuote(intel, "SGX", reportData, { chain: pemOf(...chain) });
      expect(failed(await judged(intel, "SGX", bytes))).toContain(rule);
    }
  });

  test("padding is zeros", async () => {
    const intel = await syntheticIntel(crypto, now, "SGX");
    const bytes = await makeQuote(intel, "SGX", reportData);
    expect(failed(await judged(intel, "SGX", concat(bytes, new Uint8Array(100))))).toBe("accepted");
    expect(
      failed(await judged(intel, "SGX", concat(bytes, new Uint8Array(99), Uint8Array.of(1)))),
    ).toBe("dcap.padding");
  });

  test("another report data", async () => {
    const intel = await syntheticIntel(crypto, now, "SGX");
    const bytes = await makeQuote(intel, "SGX", new Uint8Array(64));
    expect(failed(await judged(intel, "SGX", bytes))).toBe("report-data");
  });

  test("verifies until the first of its ends, and not after", async () => {
    const intel = await syntheticIntel(crypto, now, "SGX");
    const bytes = await makeQuote(intel, "SGX", reportData);
    const { verified } = await judged(intel, "SGX", bytes);
    expect(verified?.notAfter).toBe(now + 30 * day);
    expect((await judged(intel, "SGX", bytes, now + 30 * day - 1)).accepted).toBe(true);
    expect((await judged(intel, "SGX", bytes, now + 30 * day)).accepted).toBe(false);
    expect((await judged(intel, "SGX", bytes, now - 2 * year)).accepted).toBe(false);
  });
});

describe("TCB status", () => {
  const components = (svn: number): number[] =>
    Array.from({ length: 16 }, (_, i) => (i < 4 ? svn : 0));
  test.each([
    [5, 8, "UpToDate"],
    [4, 8, "SWHardeningNeeded"],
    [3, 8, "OutOfDate"],
    [1, 8, "Revoked"],
    [5, 5, "OutOfDate"],
    [4, 5, "OutOfDate"],
    [5, 3, "Revoked"],
    [1, 5, "Revoked"],
  ])("SGX components %d, QE %d: %s", async (svn, qeSvn, status) => {
    const { verified, tcbStatus, accepted } = await assess(
      "SGX",
      { components: components(svn) },
      { qeSvn },
    );
    expect(tcbStatus).toBe(status);
    expect(accepted).toBe(status === "UpToDate");
    const { sgx } = (verified as NonNullable<typeof verified>).claims as {
      sgx: { missing_for_up_to_date: readonly { has: number; needs: number }[] };
    };
    expect(sgx.missing_for_up_to_date).toHaveLength(svn < 5 ? 4 : 0);
  });

  const svn = (module: number, version: number, rest: number): number[] => [
    module,
    version,
    rest,
    rest,
    ...new Array<number>(12).fill(0),
  ];
  test.each([
    ["current", { teeTcbSvn: svn(6, 1, 5) }, "UpToDate"],
    ["an old module", { teeTcbSvn: svn(4, 1, 5) }, "OutOfDate"],
    [
      "an old module, relaunch",
      { version: 5, teeTcbSvn: svn(4, 1, 5), teeTcbSvn2: svn(6, 1, 5) },
      "TDRelaunchAdvised",
    ],
    [
      "an old module still loaded",
      { version: 5, teeTcbSvn: svn(4, 1, 5), teeTcbSvn2: svn(5, 1, 5) },
      "OutOfDate",
    ],
    [
      "relaunch, but the QE is old",
      { version: 5, teeTcbSvn: svn(4, 1, 5), teeTcbSvn2: svn(6, 1, 5), qeSvn: 5 },
      "OutOfDate",
    ],
    ["a module below its levels", { teeTcbSvn: svn(1, 1, 5) }, null],
    ["a module of an unknown version", { teeTcbSvn: svn(6, 2, 5) }, null],
    [
      "a current module of an unknown version",
      { version: 5, teeTcbSvn: svn(4, 1, 5), teeTcbSvn2: svn(6, 3, 5) },
      null,
    ],
    [
      "version 0: components 0 and 1 count",
      { teeTcbSvn: [5, 0, 5, 5, ...new Array<number>(12).fill(0)] },
      null,
    ],
    ["an old platform under TDX", { teeTcbSvn: svn(6, 1, 3) }, "OutOfDate"],
    ["another module signer", { seamSigner: new Uint8Array(48).fill(1) }, null],
    ["module attributes", { seamAttributes: 1 }, null],
  ] as const)("TDX, %s: %s", async (_, lies, status) => {
    expect((await assess("TDX", {}, lies as QuoteLies)).tcbStatus).toBe(status);
  });
});

describe("TDX relaxations", () => {
  const warnings = ({ findings }: Assessment): string[] =>
    findings.filter(({ severity }) => severity === "warning").map(({ rule }) => rule);
  test.each([
    ["SEPT_VE_DISABLE off", { tdAttributes: new Uint8Array(8) }, ["allow.tdx.sept-ve-disable-off"]],
    [
      "migratable",
      { tdAttributes: Uint8Array.of(0, 0, 0, 0x30, 0, 0, 0, 0) },
      ["allow.tdx.migratable"],
    ],
    ["a service TD", { version: 5, serviceTd: true }, ["allow.tdx.service-td"]],
    ["none", { version: 5 }, []],
  ] as const)("%s", async (_, lies, expected) => {
    expect(warnings(await assess("TDX", {}, lies as QuoteLies))).toEqual(expected);
  });

  test("any bit of the debug byte is a debugger", async () => {
    for (const bit of [1, 2, 0x80]) {
      const tdAttributes = Uint8Array.of(bit, 0, 0, 0x10, 0, 0, 0, 0);
      expect(failed(await assess("TDX", {}, { tdAttributes }))).toBe("debug");
    }
  });
});
