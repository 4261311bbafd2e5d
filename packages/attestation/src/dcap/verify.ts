/**
 * Verification of a DCAP quote in the order of Intel's QVL. Everything that needs a clock is checked
 * against the caller's; nothing is fetched. Source: Intel SGX/TDX DCAP Quote Verification Library,
 * steps 4.1.2.4.x.
 */
import { type Crypto, concat, equalBytes, fromHex, toHex } from "@vivarium/core";
import type { Collateral } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { fingerprint, spkiOf } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type VerifiedChain, verifyChain, verifyCrl } from "../x509/chain.ts";
import { decodeBarePem, decodePem } from "../x509/pem.ts";
import type { Certificate } from "../x509/types.ts";
import {
  type EnclaveIdentity,
  type EnclaveTcbLevel,
  parseEnclaveIdentity,
  parseTcbInfo,
  type TcbInfo,
} from "./bodies.ts";
import { type DcapCollateral, dcapCollateralOf, type SignedBody } from "./collateral.ts";
import { type MissingSvn, matchEnclaveLevel, missingForUpToDate } from "./level.ts";
import { type PlatformTcb, platformTcbOf } from "./pck.ts";
import type { Quote } from "./quote.ts";
import { intelSgxRoot } from "./root.ts";
import { source } from "./source.ts";
import { type QuoteTcb, requireTcb } from "./tcb.ts";

export interface DcapContext {
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly collateral: Collateral;
  /** DER of the roots that count. */
  readonly anchors: readonly Uint8Array[];
}

/** What is established about a quote and the platform that made it. */
export interface VerifiedQuote extends QuoteTcb {
  readonly exam: Examination;
  readonly platform: PlatformTcb;
  readonly info: TcbInfo;
  readonly qeLevel: EnclaveTcbLevel;
  readonly missing: readonly MissingSvn[];
  readonly identity: EnclaveIdentity;
  /** `sha256:…` of the root's key. */
  readonly root: string;
  readonly notAfter: number;
}

/** Intel's vendor id of its quoting enclaves. */
const intelQe = "939a7233f79c4ca9940a0db3957f0607";
const names = {
  root: "Intel SGX Root CA",
  tcbSigning: "Intel SGX TCB Signing",
  pck: "Intel SGX PCK Certificate",
  processorCa: "Intel SGX PCK Processor CA",
  platformCa: "Intel SGX PCK Platform CA",
} as const;

/** Anchors to use when the caller names none: Intel's own. */
export function intelAnchors(): readonly Uint8Array[] {
  return decodePem("Intel SGX Root CA", intelSgxRoot);
}

/** @throws AttestationError with all findings: `not-genuine`, `expired` or `malformed`. */
export async function verifyQuote(quote: Quote, context: DcapContext): Promise<VerifiedQuote> {
  const { crypto, now } = context;
  const tdx = quote.kind !== "sgx";
  const exam = examine(tdx ? "TDX quote" : "SGX quote");
  const vendor = toHex(quote.qeVendorId);
  exam.require("dcap.qe-vendor", vendor === intelQe, intelQe, vendor, source("4"));

  const collateral = dcapCollateralOf(context.collateral);
  const pck = await requirePckChain(exam, quote, collateral, context);
  const platform = platformTcbOf(pck.leaf);
  const info = await requireTcbInfo(exam, collateral, context, platform, tdx);
  const identity = await requireIdentity(exam, collateral, context, tdx);
  await requireCrls(exam, collateral, context, pck);

  const qeLevel = await requireQe(exam, crypto, quote, pck.leaf, identity.body);
  await requireQuoteSignature(exam, crypto, quote);
  const tcb = requireTcb(exam, quote, info.body, platform, qeLevel.tcbStatus);
  // Padding is zeros, or it is somebody's message that no signature covers.
  const padded = quote.padding.some((byte) => byte !== 0);
  exam.require("dcap.padding", !padded, "zeros after the quote", padded ? "other bytes" : "zeros");
  const { rootCrl, pckCrl } = collateral;
  return {
    exam,
    platform,
    info: info.body,
    qeLevel,
    ...tcb,
    missing: missingForUpToDate(info.body, platform, tdx ? quote.body.teeTcbSvn : undefined),
    identity: identity.body,
    root: await fingerprint(crypto, pck.chain.anchor.spki),
    notAfter: Math.min(
      pck.chain.notAfter,
      info.notAfter,
      identity.notAfter,
      rootCrl.nextUpdate,
      pckCrl.nextUpdate,
    ),
  };

  /** Signed TCB info for this very platform, and current. */
  async function requireTcbInfo(
    exam: Examination,
    { tcbInfo }: DcapCollateral,
    context: DcapContext,
    platform: PlatformTcb,
    tdx: boolean,
  ): Promise<{ readonly body: TcbInfo; readonly notAfter: number }> {
    const chain = await requireSigned(exam, "dcap.tcb-info", tcbInfo, context);
    // Verified first, read after: what is not Intel's is not interpreted.
    const body = parseTcbInfo(tcbInfo.text);
    const id = tdx ? "TDX" : "SGX";
    exam.require("dcap.tcb-info.id", body.id === id, id, body.id, source("9"));
    const notAfter = requireWindow(exam, "dcap.tcb-info.dates", body, now);
    const { fmspc, pceId } = platform;
    const same = body.fmspc.toLowerCase() === fmspc;
    exam.require("dcap.tcb-info.fmspc", same, fmspc, body.fmspc.toLowerCase(), source("9"));
    const pce = body.pceId.toLowerCase();
    exam.require("dcap.tcb-info.pceid", pce === pceId, pceId, pce, source("9"));
    return { body, notAfter: Math.min(notAfter, chain.notAfter) };
  }

  async function requireIdentity(
    exam: Examination,
    { qeIdentity }: DcapCollateral,
    context: DcapContext,
    tdx: boolean,
  ): Promise<{ readonly body: EnclaveIdentity; readonly notAfter: number }> {
    const chain = await requireSigned(exam, "dcap.qe-identity", qeIdentity, context);
    const body = parseEnclaveIdentity(qeIdentity.text);
    const id = tdx ? "TD_QE" : "QE";
    exam.require("dcap.qe-identity.id", body.id === id, id, body.id, source("11"));
    const notAfter = requireWindow(exam, "dcap.qe-identity.dates", body, now);
    return { body, notAfter: Math.min(notAfter, chain.notAfter) };
  }
}

interface PckChain {
  readonly leaf: Certificate;
  readonly ca: Certificate;
  readonly chain: VerifiedChain;
}

async function requirePckChain(
  exam: Examination,
  quote: Quote,
  collateral: DcapCollateral,
  context: DcapContext,
): Promise<PckChain> {
  const { type, data } = quote.certification;
  const certified = type === 5 || (type >= 1 && type <= 3);
  exam.require(
    "dcap.certification",
    certified,
    "type 5, or 1 to 3 with a PCK beside",
    `${type}`,
    source("5"),
  );
  const chain =
    type === 5
      ? decodeBarePem("PCK chain", data).map((der) => parseCertificate("PCK chain", der))
      : (collateral.pckChain ?? []);
  // Root, one intermediate, leaf: the form leaves no room for another path.
  exam.require(
    "dcap.pck.length",
    chain.length === 3,
    "3 certificates",
    `${chain.length}`,
    source("6"),
  );
  const [leaf, ca] = chain as [Certificate, Certificate];
  const { crypto, now, anchors } = context;
  const verified = await verifyChain(exam, {
    crypto,
    now,
    chain,
    anchors,
    prefix: "dcap.pck",
    source: source("6"),
  });
  requireName(exam, "dcap.pck.name", leaf, [names.pck]);
  requireName(exam, "dcap.pck.ca-name", ca, [names.processorCa, names.platformCa]);
  requireName(exam, "dcap.pck.root-name", verified.anchor, [names.root]);
  exam.require("dcap.pck.leaf", !leaf.ca, "not a CA", leaf.ca ? "a CA" : "a leaf", source("6"));
  return { leaf, ca, chain: verified };
}

function requireName(
  exam: Examination,
  rule: string,
  { commonName = "none" }: Certificate,
  allowed: readonly string[],
): void {
  exam.require(rule, allowed.includes(commonName), allowed.join(" or "), commonName.slice(0, 80));
}

/** The TCB Signing certificate's signature over the exact bytes of a body. */
async function requireSigned(
  exam: Examination,
  prefix: string,
  body: SignedBody,
  { crypto, now, anchors }: DcapContext,
): Promise<VerifiedChain> {
  const chain = await verifyChain(exam, { crypto, now, chain: body.chain, anchors, prefix });
  const [leaf] = body.chain as [Certificate];
  const direct = body.chain.length <= 2;
  exam.require(`${prefix}.path`, direct, "a leaf of the root", `${body.chain.length} certificates`);
  requireName(exam, `${prefix}.name`, leaf, [names.tcbSigning]);
  const ok = await crypto.verify("ES256", leaf.spki, body.signature, body.bytes);
  exam.require(
    `${prefix}.signature`,
    ok,
    "verifies",
    ok ? "verifies" : "does not verify",
    source("8"),
  );
  return chain;
}

/** @returns the end, milliseconds. */
function requireWindow(
  exam: Examination,
  rule: string,
  { issueDate, nextUpdate }: { readonly issueDate: string; readonly nextUpdate: string },
  now: number,
): number {
  const end = Date.parse(nextUpdate);
  const current = Date.parse(issueDate) <= now && now <= end;
  const actual = `${issueDate} to ${nextUpdate}`;
  const wanted = `${new Date(now).toISOString()} inside`;
  exam.require(rule, current, wanted, actual, source("10"), "expired");
  return end;
}

/** Both lists, and every certificate that they are about. */
async function requireCrls(
  exam: Examination,
  collateral: DcapCollateral,
  { crypto, now }: DcapContext,
  pck: PckChain,
): Promise<void> {
  const { rootCrl, pckCrl, tcbInfo, qeIdentity } = collateral;
  const signers = [tcbInfo.chain[0], qeIdentity.chain[0]] as [Certificate, Certificate];
  const common = { crypto, now, source: source("7") };
  await verifyCrl(exam, {
    ...common,
    crl: rootCrl,
    issuer: pck.chain.anchor,
    prefix: "dcap.root",
    name: "root CA CRL",
    subjects: [pck.ca, ...signers],
  });
  await verifyCrl(exam, {
    ...common,
    crl: pckCrl,
    issuer: pck.ca,
    prefix: "dcap.pck",
    name: "PCK CRL",
    subjects: [pck.leaf],
  });
}

/** The QE that made the attestation key: certified by the PCK, and one that Intel knows. */
async function requireQe(
  exam: Examination,
  crypto: Crypto,
  quote: Quote,
  pck: Certificate,
  identity: EnclaveIdentity,
): Promise<EnclaveTcbLevel> {
  const { qeReport, qeReportSignature, attestationKey, qeAuthData } = quote;
  const signed = await crypto.verify("ES256", pck.spki, qeReportSignature, qeReport.raw);
  exam.require(
    "dcap.qe.signature",
    signed,
    "signed by the PCK",
    signed ? "verifies" : "does not verify",
    source("12"),
  );
  const digest = await crypto.digest("SHA-256", concat(attestationKey, qeAuthData));
  const bound = equalBytes(qeReport.reportData, concat(digest, new Uint8Array(32)));
  exam.require(
    "dcap.qe.binding",
    bound,
    "SHA-256 of the attestation key",
    bound ? "it is" : "another value",
    source("13"),
  );

  const masked = (value: Uint8Array, mask: string): string =>
    toHex(value.map((byte, i) => byte & (fromHex(mask)[i] ?? 0)));
  const check = (rule: string, wanted: string, actual: string): void =>
    exam.require(rule, wanted.toLowerCase() === actual, wanted.toLowerCase(), actual, source("15"));
  check("dcap.qe.mrsigner", identity.mrsigner, toHex(qeReport.mrSigner));
  check("dcap.qe.isvprodid", `${identity.isvprodid}`, `${qeReport.isvProdId}`);
  // MISCSELECT is a little-endian number in the report and printed as one in the identity.
  const misc = new Uint8Array(qeReport.miscSelect).reverse();
  const wantedMisc = masked(fromHex(identity.miscselect), identity.miscselectMask);
  check("dcap.qe.miscselect", wantedMisc, masked(misc, identity.miscselectMask));
  const wantedAttributes = masked(fromHex(identity.attributes), identity.attributesMask);
  check(
    "dcap.qe.attributes",
    wantedAttributes,
    masked(qeReport.attributes, identity.attributesMask),
  );
  const level = matchEnclaveLevel(identity.tcbLevels, qeReport.isvSvn);
  exam.require(
    "dcap.qe.supported",
    level !== undefined,
    "a TCB level of the QE",
    `SVN ${qeReport.isvSvn}`,
    source("15"),
  );
  return level as EnclaveTcbLevel;
}

async function requireQuoteSignature(
  exam: Examination,
  crypto: Crypto,
  quote: Quote,
): Promise<void> {
  const key = spkiOf(
    "ES256",
    quote.attestationKey.subarray(0, 32),
    quote.attestationKey.subarray(32),
  );
  const ok = await crypto.verify("ES256", key, quote.signature, quote.signed);
  exam.require(
    "dcap.signature",
    ok,
    "signed by the attestation key",
    ok ? "verifies" : "does not verify",
    source("14"),
  );
}
