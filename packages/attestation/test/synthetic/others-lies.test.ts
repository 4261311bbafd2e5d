/** CCA, Nitro, CSV and TPM evidence that lies, each with the rule that finds out. */
import { concat, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { ccaVerifier } from "../../src/cca/index.ts";
import { usage } from "../../src/csv/certificate.ts";
import { csvVerifier } from "../../src/csv/index.ts";
import type { Verifier } from "../../src/index.ts";
import { nitroVerifier } from "../../src/nitro/index.ts";
import { sm3 } from "../../src/sm/sm3.ts";
import { encodeTpmEvidence } from "../../src/tpm/container.ts";
import { tpmVerifier } from "../../src/tpm/index.ts";
import { now } from "../simulated-subject.ts";
import { type CcaLies, makeToken, syntheticArm } from "./cca.ts";
import {
  type CsvReportLies,
  csvPolicy,
  type HygonLies,
  makeCsvReport,
  sm2Key,
  syntheticHygon,
} from "./csv.ts";
import { oid, sequence } from "./der.ts";
import { judge, verdictOf, warningsOf } from "./judge.ts";
import { makeDocument, type NitroLies, syntheticAws } from "./nitro.ts";
import { makeTpmEvidence, syntheticTpm, type TpmLies } from "./tpm.ts";
import { type CertificateOptions, makeCertificate, pemOf } from "./x509.ts";

const crypto = nodeCrypto();
const reportData = new Uint8Array(64).fill(0x42);

describe("CCA", () => {
  const assess = async (lies: CcaLies, collateral?: Readonly<Record<string, Uint8Array>>) => {
    const arm = await syntheticArm(crypto);
    const bytes = await makeToken(arm, reportData, lies);
    return await judge(
      crypto,
      ccaVerifier(),
      { type: "cca", bytes, attachments: {} },
      collateral ?? arm.collateral,
    );
  };
  test.each([
    ["nothing", {}, "accepted"],
    ["nothing, with a COSE_Key", { coseKey: true }, "accepted"],
    [
      "nothing, in the newer profiles",
      {
        platformProfile: "tag:arm.com,2023:cca_platform#1.0.0",
        realmProfile: "tag:arm.com,2023:realm#1.0.0",
      },
      "accepted",
    ],
    ["a platform token of another realm", { unbound: true }, "cca.binding"],
    [
      "another platform profile",
      { platformProfile: "http://arm.com/CCA-SSD/2.0.0" },
      "cca.platform-profile",
    ],
    ["another realm profile", { realmProfile: "tag:arm.com,2023:realm#9" }, "cca.realm-profile"],
    ["a platform under debug", { lifecycle: 0x4000 }, "debug"],
    ["a platform that was never secured", { lifecycle: 0x2000 }, "debug"],
    ["a short challenge", { challengeBytes: 32 }, "malformed"],
  ] as const)("%s", async (_, lies, rule) => {
    expect(verdictOf(await assess(lies as CcaLies))).toBe(rule);
  });

  test("signatures by strangers", async () => {
    const stranger = await crypto.generateSigner("ES384");
    expect(verdictOf(await assess({ platformSigner: stranger }))).toBe("cca.platform-signature");
    expect(verdictOf(await assess({ realmSigner: stranger }))).toBe("cca.realm-signature");
    const weaker = await crypto.generateSigner("ES256");
    expect(verdictOf(await assess({ realmSigner: weaker }))).toBe("cca.realm-signature");
  });

  test("no anchor, another platform's anchor, and anchors of no form", async () => {
    expect(verdictOf(await assess({}, {}))).toBe("cca.trust-anchor");
    const { collateral } = await syntheticArm(crypto);
    expect(verdictOf(await assess({}, collateral))).toBe("cca.platform-signature");
    for (const text of [
      "",
      "{}",
      "[]x",
      '[{"pkey":{}}]',
      '[{"pkey":{"kty":"EC","crv":"P-384","x":"AA","y":"AA"},"implementation-id":"","instance-id":""}]',
      "[null]",
    ]) {
      expect(verdictOf(await assess({}, { "trust-anchors": utf8(text) }))).toBe("malformed");
    }
  });
});

describe("Nitro", () => {
  const assess = async (lies: NitroLies, time = now) => {
    const aws = await syntheticAws(crypto, now, lies);
    const bytes = await makeDocument(aws, reportData, lies);
    const verifier = nitroVerifier({ anchors: [aws.root.der] });
    return await judge(crypto, verifier, { type: "nitro", bytes, attachments: {} }, {}, time);
  };
  test.each([
    ["nothing", {}, "accepted"],
    ["debug", { debug: true }, "debug"],
    ["another digest", { digest: "SHA256" }, "malformed"],
    ["PCRs of 40 bytes", { pcrBytes: 40 }, "malformed"],
    ["no bundle", { bundle: [] }, "nitro.root"],
    ["a leaf that has expired", { leaf: { notAfter: now - 1 } }, "nitro.chain.dates"],
    ["an authority that is none", { zone: { ca: false } }, "nitro.chain.authority"],
  ] as const)("%s", async (_, lies, rule) => {
    expect(verdictOf(await assess(lies as NitroLies))).toBe(rule);
  });

  test("a document is good for three hours", async () => {
    expect(verdictOf(await assess({}, now + 3 * 3_600_000))).toBe("nitro.chain.dates");
  });

  test("another root, and the pinned one out of its place", async () => {
    const aws = await syntheticAws(crypto, now);
    const other = await makeCertificate(crypto, now, {
      name: "aws.nitro-enclaves",
      ca: true,
      algorithm: "ES384",
    });
    const evidence = {
      type: "nitro" as const,
      bytes: await makeDocument(aws, reportData),
      attachments: {},
    };
    expect(
      verdictOf(await judge(crypto, nitroVerifier({ anchors: [other.der] }), evidence, {})),
    ).toBe("nitro.root");
    expect(verdictOf(await judge(crypto, nitroVerifier(), evidence, {}))).toBe("nitro.root");
    const bytes = await makeDocument(aws, reportData, { bundle: [aws.zone.der, aws.root.der] });
    const verifier = nitroVerifier({ anchors: [aws.root.der] });
    expect(verdictOf(await judge(crypto, verifier, { ...evidence, bytes }, {}))).toBe("nitro.root");
  });
});

describe("CSV", () => {
  const assess = async (lies: HygonLies, report: CsvReportLies = {}) => {
    const hygon = syntheticHygon(crypto, lies);
    const bytes = makeCsvReport(hygon, reportData, report);
    const verifier = csvVerifier({ anchors: [hygon.hrk] });
    return await judge(crypto, verifier, { type: "csv", bytes, attachments: {} }, hygon.collateral);
  };
  test("SM3 known answers of GB/T 32905, and of every length around a block", () => {
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
    expect(hex(sm3(utf8("abc")))).toBe(
      "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
    );
    expect(hex(sm3(utf8("abcd".repeat(16))))).toBe(
      "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732",
    );
    expect(sm3(new Uint8Array(55))).not.toEqual(sm3(new Uint8Array(56)));
  });

  const stranger = sm2Key("HYGON-SSD-HRK");
  test.each([
    ["nothing", {}, {}, "accepted"],
    ["nothing, version 2", {}, { version: 2 }, "accepted"],
    ["an HSK by a stranger", { hskSigner: stranger }, {}, "csv.hsk"],
    ["an HSK under another user id", { hskUserId: "HYGON-SSD-HSK" }, {}, "csv.hsk"],
    ["an HSK under SM2's default user id", { hskUserId: "1234567812345678" }, {}, "csv.hsk"],
    ["a CEK by a stranger", { cekSigner: stranger }, {}, "csv.cek"],
    ["a PEK by a stranger", { pekSigner: stranger }, {}, "csv.pek"],
    ["a PEK that is a PDH", { pekUsage: usage.pdh }, {}, "csv.pek-usage"],
    ["slots swapped by name", { pekSlots: [usage.oca, usage.cek] }, {}, "csv.pek"],
    ["two slots of the CEK", { pekSlots: [usage.cek, usage.cek] }, {}, "csv.pek"],
    ["a report by a stranger", {}, { signer: stranger }, "csv.signature"],
    ["a version 2 report by a stranger", {}, { version: 2, signer: stranger }, "csv.signature"],
    ["a MAC under another key", {}, { macKey: new Uint8Array(16) }, "csv.mac"],
    ["debug", {}, { policy: csvPolicy & ~1 }, "debug"],
  ] as const)("%s", async (_, lies, report, rule) => {
    expect(verdictOf(await assess(lies as HygonLies, report as CsvReportLies))).toBe(rule);
  });

  test("a restored report says that its MAC is not checked, and shows no serial number", async () => {
    const assessment = await assess({}, { restored: true });
    expect([verdictOf(assessment), warningsOf(assessment)]).toEqual([
      "accepted",
      ["csv.mac-unchecked"],
    ]);
    expect(JSON.stringify(assessment.claims)).not.toContain("SYNTHETIC0001");
  });

  test("measures RTMRs and build in version 2, under names of their own", async () => {
    const { verified } = await assess({}, { version: 2 });
    expect(Object.keys(verified?.measurements ?? {})).toContain("rtmr_4");
    expect(verified?.svn).toMatchObject({ build: 2400 });
  });

  test("another maker's root, no chain, and a chain in any order", async () => {
    const hygon = syntheticHygon(crypto);
    const other = syntheticHygon(crypto);
    const evidence = {
      type: "csv" as const,
      bytes: makeCsvReport(hygon, reportData),
      attachments: {},
    };
    const own = csvVerifier({ anchors: [hygon.hrk] });
    expect(
      verdictOf(
        await judge(crypto, csvVerifier({ anchors: [other.hrk] }), evidence, hygon.collateral),
      ),
    ).toBe("csv.hsk");
    expect(verdictOf(await judge(crypto, csvVerifier(), evidence, hygon.collateral))).toBe(
      "csv.root",
    );
    expect(verdictOf(await judge(crypto, own, evidence, {}))).toBe("csv.certificates");
    expect(verdictOf(await judge(crypto, own, evidence, other.collateral))).not.toBe("accepted");
    const certificates = concat(other.cek, other.hsk, hygon.cek, hygon.hsk);
    expect(verdictOf(await judge(crypto, own, evidence, { certificates }))).toBe("accepted");
  });

  test("policy bits have names", async () => {
    expect(warningsOf(await assess({}, { policy: csvPolicy & ~0x44 }))).toEqual([
      "csv.registers-in-clear",
    ]);
    expect(warningsOf(await assess({}, { policy: csvPolicy & ~0x0a }))).toEqual([
      "csv.key-sharing",
      "csv.migratable",
    ]);
  });
});

describe("TPM", () => {
  const nonce = new Uint8Array(32).fill(0x42);
  const assess = async (
    lies: TpmLies,
    collateral?: Readonly<Record<string, Uint8Array>>,
    attributes?: number,
  ) => {
    const tpm = await syntheticTpm(crypto, attributes);
    const bytes = encodeTpmEvidence(await makeTpmEvidence(tpm, nonce, lies));
    return await judge(
      crypto,
      tpmVerifier(),
      { type: "tpm", bytes, attachments: {} },
      collateral ?? tpm.collateral,
    );
  };
  test.each([
    ["nothing", {}, "accepted"],
    ["data that the key signed and no TPM made", { magic: 0xff544346 }, "malformed"],
    ["an attestation of another type", { type: 0x8017 }, "malformed"],
    ["a PCR that is not as quoted", { changed: 7 }, "tpm.pcr-digest"],
    ["a PCR fewer than quoted", { given: [0, 1, 2] }, "tpm.pcr-selection"],
    ["a PCR more than quoted", { selected: [0, 1, 2], given: [0, 1, 2, 3] }, "tpm.pcr-selection"],
    ["fewer PCRs, all quoted", { selected: [0, 4, 8] }, "accepted"],
  ] as const)("%s", async (_, lies, rule) => {
    expect(verdictOf(await assess(lies as TpmLies))).toBe(rule);
  });

  test("a stranger's signature, and a key that nobody named", async () => {
    const stranger = await crypto.generateSigner("ES256");
    expect(verdictOf(await assess({ signer: stranger }))).toBe("tpm.signature");
    expect(verdictOf(await assess({}, {}))).toBe("tpm.ak");
    expect(verdictOf(await assess({}, { ak: stranger.publicKey }))).toBe("tpm.ak");
  });

  test.each([
    ["unrestricted", 0x0004_0072],
    ["may decrypt", 0x0007_0072],
    ["may leave its TPM", 0x0005_0070],
    ["came from outside", 0x0005_0052],
  ])("a key that is %s", async (_, attributes) => {
    expect(verdictOf(await assess({}, undefined, attributes))).toBe("tpm.ak-attributes");
  });

  test("a signature of another scheme than the key's, and a key without one", async () => {
    for (const [scheme, verdict] of [
      [0x0018, "accepted"],
      [0x0014, "tpm.ak-scheme"],
      [0x0016, "tpm.ak-scheme"],
      [0x0010, "malformed"],
    ] as const) {
      const tpm = await syntheticTpm(crypto, undefined, scheme);
      const bytes = encodeTpmEvidence(await makeTpmEvidence(tpm, nonce));
      const evidence = { type: "tpm" as const, bytes, attachments: {} };
      expect(verdictOf(await judge(crypto, tpmVerifier(), evidence, tpm.collateral))).toBe(verdict);
    }
  });

  test("a SHA-1 bank and a bare key have names", async () => {
    expect(warningsOf(await assess({ bank: 0x0004 }))).toEqual(["tpm.sha1-bank"]);
    const tpm = await syntheticTpm(crypto);
    const bytes = encodeTpmEvidence(await makeTpmEvidence(tpm, nonce));
    const evidence = { type: "tpm" as const, bytes, attachments: {} };
    const assessment = await judge(crypto, tpmVerifier(), evidence, { ak: tpm.ak.publicKey });
    expect(warningsOf(assessment)).toEqual(["tpm.ak-attributes-unknown"]);
    expect(assessment.verified?.isolation).toBe("none");
  });

  test("a key that an authority certifies", async () => {
    const tpm = await syntheticTpm(crypto);
    const root = await makeCertificate(crypto, now, { name: "EK/AK CA Root", ca: true });
    const issuer = await makeCertificate(crypto, now, {
      name: "EK/AK CA Intermediate",
      ca: true,
      issuer: root,
    });
    const bytes = encodeTpmEvidence(await makeTpmEvidence(tpm, nonce));
    const assess = async (leaf: Partial<CertificateOptions>, verifier: Verifier) => {
      const options = { name: "vm", issuer, signer: tpm.ak, ...leaf };
      const { der } = await makeCertificate(crypto, now, options);
      const certificates = utf8(pemOf(der, issuer.der));
      return await judge(
        crypto,
        verifier,
        { type: "tpm", bytes, attachments: { certificates } },
        {},
      );
    };
    const purpose = (dotted: string) =>
      ({ extensions: [["2.5.29.37", sequence(oid(dotted)), true]] }) as const;
    const aik = purpose("2.23.133.8.3");
    const verifier = tpmVerifier({ anchors: [root.der] });
    const certified = await assess(aik, verifier);
    expect([verdictOf(certified), warningsOf(certified)]).toEqual(["accepted", []]);

    // The same authority may certify the TPM's other keys, which sign whatever they are given.
    for (const other of [{}, purpose("1.3.6.1.5.5.7.3.1")]) {
      expect(warningsOf(await assess(other, verifier))).toEqual(["tpm.ak-attributes-unknown"]);
    }
    expect(verdictOf(await assess({ ...aik, ca: true }, verifier))).toBe("tpm.ak-certificate");
    const agreement = { ...aik, keyUsage: "03020308" };
    expect(verdictOf(await assess(agreement, verifier))).toBe("tpm.ak-certificate");

    expect(verdictOf(await assess(aik, tpmVerifier()))).toBe("tpm.ak");
    const stranger = await makeCertificate(crypto, now, { name: "EK/AK CA Root", ca: true });
    const others = tpmVerifier({ anchors: [stranger.der] });
    expect(verdictOf(await assess(aik, others))).toBe("tpm.chain.signature");
  });
});
