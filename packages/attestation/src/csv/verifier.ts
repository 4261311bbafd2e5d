/**
 * Hygon CSV 1, 2 and 3 evidence: a report signed by the platform's PEK, whose chain HRK → HSK → CEK →
 * PEK is SM2 throughout. Hygon's certificates have no dates and no revocation service is known.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { hmacSm3 } from "../sm/sm3.ts";
import {
  type CsvCertificate,
  type HygonCa,
  parseCsvCertificate,
  parseHygonCa,
  parseHygonCertificates,
  signedBy,
  usage,
} from "./certificate.ts";
import { type CsvReport, parseCsvReport } from "./report.ts";
import { hygonRoot } from "./root.ts";

export interface CsvVerifierOptions {
  /** HRK certificates (832 bytes) to trust instead of Hygon's. A policy must then name the root. */
  readonly anchors?: readonly Uint8Array[];
}

const source = "Hygon CSV, openanolis/csv-rs";

/** Hygon's certificates state no end; this one is past every policy's maximum age. */
const noEnd = Date.UTC(9999, 11, 31);

/** Bits 0 to 7 of the guest's policy. */
const policyBits = {
  nodbg: 0,
  noks: 1,
  es: 2,
  nosend: 3,
  domain: 4,
  csv: 5,
  csv3: 6,
  asid_reuse: 7,
} as const;

/**
 * Runs in Node and browsers. Entries `certificates` of attachments or collateral: HSK and CEK of the
 * chip, as from `https://cert.hygon.cn/hsk_cek?snumber=…`.
 */
export function csvVerifier(options: CsvVerifierOptions = {}): Verifier {
  const anchors = options.anchors ?? [hygonRoot()];
  return {
    type: "csv",
    pins: [["measure"]],
    needsRoot: options.anchors !== undefined,
    read: (evidence) => ({ csv: claimsOf(reportOf(evidence), false) }),
    verify: (evidence, context) => verify(evidence, context, anchors),
  };
}

function reportOf(evidence: Evidence): CsvReport {
  if (evidence.type !== "csv") {
    throw new AttestationError("unknown-type", "This verifier reads CSV evidence only.");
  }
  if (Object.keys(evidence.attachments).some((name) => name !== "certificates")) {
    throw new AttestationError("malformed", "CSV evidence has no attachment but certificates.");
  }
  return parseCsvReport(evidence.bytes);
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  anchors: readonly Uint8Array[],
): Promise<VerifiedEvidence> {
  const report = reportOf(evidence);
  const exam = examine("CSV report");
  const pek = parseCsvCertificate("PEK", report.pek);
  const chain = requireChain(exam, report, pek, evidence, context, anchors);
  const signed = signedBy(pek.key, report.signed, report.signature);
  exam.require(
    "csv.signature",
    signed,
    "signed by the PEK",
    signed ? "verifies" : "does not verify",
    source,
  );
  checkMac(exam, report);
  relax(exam, report);
  const bits = switchesOf(report);
  return {
    type: "csv",
    claims: { csv: claimsOf(report, report.maced !== undefined) },
    measurements: {
      measure: report.measure,
      user_pubkey_digest: report.userKeyDigest,
      ...Object.fromEntries(report.rtmrs.map((rtmr, i) => [`rtmr_${i}`, rtmr])),
    },
    svn: {
      hsk_version: (report.policy >>> 8) & 0xf,
      cek_version: (report.policy >>> 12) & 0xf,
      policy_api_major: (report.policy >>> 16) & 0xff,
      policy_api_minor: report.policy >>> 24,
      firmware_api: pek.apiMajor * 256 + pek.apiMinor,
      ...(report.build === undefined ? {} : { build: report.build }),
    },
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: bits,
    debug: bits["nodbg"] !== true,
    reportData: report.reportData,
    issuedAt: undefined,
    notAfter: noEnd,
    isolation: "tee",
    binding: "session",
    root: await rootName(context.crypto, chain.root),
    findings: exam.findings,
  };
}

/** An SM2 key has no SubjectPublicKeyInfo here: the root is named by its certificate's bytes. */
async function rootName(crypto: Crypto, root: HygonCa): Promise<string> {
  return `sha256:${toHex(await crypto.digest("SHA-256", root.raw))}`;
}

function requireChain(
  exam: Examination,
  report: CsvReport,
  pek: CsvCertificate,
  evidence: Evidence,
  { collateral }: VerifyContext,
  anchors: readonly Uint8Array[],
): { readonly root: HygonCa } {
  const given = [collateral["certificates"], evidence.attachments["certificates"]].flatMap(
    (bytes) => (bytes === undefined ? [] : [parseHygonCertificates(bytes)]),
  );
  const serial = text(report.serialNumber);
  const ceks = given
    .flatMap(({ certificates }) => certificates)
    .filter((certificate) => certificate.usage === usage.cek);
  const hsks = given
    .flatMap(({ authorities }) => authorities)
    .filter((authority) => authority.usage === usage.hsk);
  const complete = ceks.length > 0 && hsks.length > 0;
  const where = `none for chip ${serial}: fetch https://cert.hygon.cn/hsk_cek?snumber=${serial}`;
  exam.require(
    "csv.certificates",
    complete,
    'HSK and CEK (collateral "certificates")',
    complete ? "given" : where,
    source,
  );

  // Several chips' certificates may lie in one file: the one that signed decides.
  const cek =
    ceks.find((candidate) => slotOf(pek, candidate, usage.cek)) ?? (ceks[0] as CsvCertificate);
  const hsk = hsks.find((candidate) => slotOf(cek, candidate, usage.hsk)) ?? (hsks[0] as HygonCa);
  const roots = anchors.map((raw) => parseHygonCa("HRK", raw));
  const root = roots.find(({ keyId }) => equalBytes(keyId, hsk.certifyingId));
  exam.require(
    "csv.root",
    root !== undefined,
    "an HSK certified by a trusted HRK",
    toHex(hsk.certifyingId),
    source,
  );
  const hrk = root as HygonCa;
  requireAuthority(exam, hrk);
  const certified =
    hsk.signature.usage === hsk.usage && signedBy(hrk.key, hsk.signed, hsk.signature);
  exam.require(
    "csv.hsk",
    certified,
    "signed by the HRK",
    certified ? "verifies" : "does not verify",
    source,
  );
  const chip = slotOf(cek, hsk, usage.hsk);
  exam.require("csv.cek", chip, "signed by the HSK", chip ? "verifies" : "does not verify", source);
  const own = pek.usage === usage.pek;
  exam.require("csv.pek-usage", own, "a PEK", `usage 0x${pek.usage.toString(16)}`, source);
  const platform = slotOf(pek, cek, usage.cek);
  const actual = platform ? "verifies" : `does not verify; wanted is the CEK of chip ${serial}`;
  exam.require("csv.pek", platform, "signed by the CEK", actual, source);
  return { root: hrk };
}

function requireAuthority(exam: Examination, hrk: HygonCa): void {
  const self = hrk.usage === usage.hrk && signedBy(hrk.key, hrk.signed, hrk.signature);
  exam.require("csv.hrk", self, "signed by itself", self ? "verifies" : "does not verify", source);
}

/** True if the certificate's slot for this usage holds the signer's signature. */
function slotOf(
  certificate: CsvCertificate,
  signer: Pick<HygonCa, "key" | "usage">,
  code: number,
): boolean {
  const slots = certificate.signatures.filter((signature) => signature.usage === code);
  const [slot] = slots;
  // Two slots of one usage: which counts would be the reader's choice.
  if (slot === undefined || slots.length !== 1 || signer.usage !== code) return false;
  return signedBy(signer.key, certificate.signed, slot);
}

/** PEK and serial number are of this report, not of another one of the same guest. */
function checkMac(exam: Examination, report: CsvReport): void {
  if (report.maced === undefined) {
    exam.relax(
      "csv.mac-unchecked",
      "the MAC over PEK and serial number",
      "the agent has restored the PEK: it cannot be computed",
      source,
    );
    return;
  }
  const same = equalBytes(hmacSm3(report.mnonce, report.maced), report.mac);
  exam.require(
    "csv.mac",
    same,
    "HMAC-SM3 with MNONCE",
    same ? "verifies" : "does not verify",
    source,
  );
}

/** What is genuine and yet not for everyone: a policy has to name it. */
function relax(exam: Examination, report: CsvReport): void {
  const bits = switchesOf(report);
  const registers = bits["es"] === true || bits["csv3"] === true;
  if (!registers)
    exam.relax("csv.registers-in-clear", "ES or CSV3", "neither: the host sees registers", source);
  if (bits["noks"] !== true) exam.relax("csv.key-sharing", "NOKS", "keys may be shared", source);
  if (bits["nosend"] !== true) exam.relax("csv.migratable", "NOSEND", "may be migrated", source);
}

function switchesOf({ policy }: CsvReport): Readonly<Record<string, boolean>> {
  return Object.fromEntries(
    Object.entries(policyBits).map(([name, bit]) => [name, ((policy >>> bit) & 1) === 1]),
  );
}

function claimsOf(report: CsvReport, withSerial: boolean): Readonly<Record<string, Claim>> {
  return {
    version: report.version,
    measure: toHex(report.measure),
    report_data: toHex(report.reportData),
    vm_id: toHex(report.vmId),
    vm_version: toHex(report.vmVersion),
    user_pubkey_digest: toHex(report.userKeyDigest),
    policy_value: `0x${report.policy.toString(16)}`,
    policy: switchesOf(report),
    // Nothing but the MAC covers it.
    ...(withSerial ? { serial_number: text(report.serialNumber) } : {}),
    ...(report.build === undefined ? {} : { build: report.build }),
    ...(report.rtmrVersion === undefined ? {} : { rtmr_version: report.rtmrVersion }),
    ...Object.fromEntries(report.rtmrs.map((rtmr, i) => [`rtmr${i}`, toHex(rtmr)])),
  };
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes).replace(/[^\x21-\x7e]/g, "?");
}
