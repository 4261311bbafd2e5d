/**
 * AMD SEV-SNP evidence. Source: 56860 (report), 57230 (certificates and their chains); the options
 * that a policy has are those of go-sev-guest. AMD publishes no TCB status: minimum security versions
 * are the policy's.
 */
import { type Crypto, concat, equalBytes, toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { fingerprint, keyAlgorithm } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { type VerifiedChain, verifyChain, verifyCrl } from "../x509/chain.ts";
import { parseCrl } from "../x509/crl.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import type { Certificate } from "../x509/types.ts";
import { type AmdLeaf, certificatesOf, kindOf, type LeafKind, leafOf } from "./certificates.ts";
import {
  claimsOf,
  debugAllowed,
  migrationAgentAllowed,
  numbersOf,
  policyBit,
  reservedPolicyBit,
  switchesOf,
  unknownPolicyBits,
} from "./claims.ts";
import {
  productOfCpuid,
  productOfName,
  type SnpProduct,
  sameTcb,
  tcbText,
  tcbVersion,
} from "./product.ts";
import { parseSnpReport, type SnpReport, signedBytes } from "./report.ts";
import { genoaArk, genoaAsk, genoaAsvk } from "./roots/genoa.ts";
import { milanArk, milanAsk, milanAsvk } from "./roots/milan.ts";
import { turinArk, turinAsk, turinAsvk } from "./roots/turin.ts";

export interface SnpVerifierOptions {
  /** DER of roots (ARK) to trust instead of AMD's, for test PKIs. A policy must then name the root. */
  readonly anchors?: readonly Uint8Array[];
}

/** AMD's own, by product: root, and who issues VCEKs and VLEKs. */
const authorities: Readonly<
  Record<SnpProduct, { readonly root: string } & Readonly<Record<LeafKind, string>>>
> = {
  Milan: { root: milanArk, VCEK: milanAsk, VLEK: milanAsvk },
  Genoa: { root: genoaArk, VCEK: genoaAsk, VLEK: genoaAsvk },
  Turin: { root: turinArk, VCEK: turinAsk, VLEK: turinAsvk },
};

const abi = (section: string): string => `AMD 56860 ${section}`;
const kds = (section: string): string => `AMD 57230 ${section}`;

/**
 * Runs in Node and browsers. Entries `certificates` of attachments or collateral: VCEK or VLEK (and
 * intermediates) as PEM, DER or the hypervisor's table. Collateral `crl`: AMD's list of the product.
 */
export function snpVerifier(options: SnpVerifierOptions = {}): Verifier {
  return {
    type: "snp",
    pins: [["measurement"]],
    needsRoot: options.anchors !== undefined,
    read: (evidence) => ({ snp: claimsOf(reportOf(evidence)) }),
    verify: (evidence, context) => verify(evidence, context, options.anchors),
  };
}

function reportOf(evidence: Evidence): SnpReport {
  if (evidence.type !== "snp") {
    throw new AttestationError("unknown-type", "This verifier reads SEV-SNP evidence only.");
  }
  if (Object.keys(evidence.attachments).some((name) => name !== "certificates")) {
    throw new AttestationError("malformed", "SEV-SNP evidence has no attachment but certificates.");
  }
  return parseSnpReport(evidence.bytes);
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  anchors: readonly Uint8Array[] | undefined,
): Promise<VerifiedEvidence> {
  const report = reportOf(evidence);
  const exam = examine("SEV-SNP report");
  const algorithm = report.signatureAlgorithm === 1;
  exam.require(
    "snp.algorithm",
    algorithm,
    "1 (ECDSA P-384)",
    `${report.signatureAlgorithm}`,
    abi("table 23"),
  );
  const one = policyBit(report.policy, reservedPolicyBit);
  exam.require("snp.policy-form", one, "bit 17 set", one ? "set" : "clear", abi("table 9"));

  const { leaf, certificate, others } = requireLeaf(exam, report, evidence, context);
  const product = requireProduct(exam, report, leaf);
  const chain = await requireChain(exam, context, { leaf, certificate, others, product, anchors });
  await checkCrl(exam, context, chain);
  requireMatch(exam, report, leaf, product);
  await requireSignature(exam, context.crypto, report, certificate);
  relax(exam, report, product);
  return {
    type: "snp",
    claims: { snp: { ...claimsOf(report, product), csp_id: leaf.cspId ?? null } },
    measurements: {
      measurement: report.measurement,
      host_data: report.hostData,
      id_key_digest: report.idKeyDigest,
      author_key_digest: report.authorKeyDigest,
      report_id: report.reportId,
      chip_id: report.chipId,
    },
    svn: numbersOf(product, report),
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: switchesOf(report),
    debug: debugAllowed(report),
    reportData: report.reportData,
    issuedAt: undefined,
    notAfter: chain.verified.notAfter,
    isolation: "tee",
    binding: "session",
    root: await fingerprint(context.crypto, chain.verified.anchor.spki),
    findings: exam.findings,
  };
}

interface Leaf {
  readonly leaf: AmdLeaf;
  readonly certificate: Certificate;
  readonly others: readonly Certificate[];
}

/** The certificate of the key that signed: of the kind that the report names, of its TCB if there are several. */
function requireLeaf(
  exam: Examination,
  report: SnpReport,
  evidence: Evidence,
  { collateral }: VerifyContext,
): Leaf {
  const kind = ({ 0: "VCEK", 1: "VLEK" } as const)[report.signingKey];
  exam.require(
    "snp.signing-key",
    kind !== undefined,
    "VCEK or VLEK",
    `${report.signingKey}`,
    abi("table 23"),
  );
  const all = certificatesOf(evidence, collateral);
  const leaves = all.filter((certificate) => kindOf(certificate) === kind);
  const wanted = `a ${kind} of the chip (collateral "certificates")`;
  exam.require(
    "snp.certificate",
    leaves.length > 0,
    wanted,
    `${all.length} certificates`,
    kds("3"),
  );
  const read = leaves.map((certificate) => ({ certificate, leaf: leafOf(certificate) }));
  const fits = ({ leaf }: (typeof read)[number]): boolean => {
    const product = productOfName(leaf.productName);
    return product !== undefined && sameTcb(leaf.tcb, tcbVersion(product, report.reportedTcb));
  };
  const chosen = read.find(fits) ?? (read[0] as (typeof read)[number]);
  return { ...chosen, others: all.filter((certificate) => kindOf(certificate) === undefined) };
}

/** Never guessed: CPUID and certificate must agree, and a report without CPUID needs the latter. */
function requireProduct(exam: Examination, report: SnpReport, leaf: AmdLeaf): SnpProduct {
  const named = productOfName(leaf.productName);
  const measured = report.cpuid === undefined ? named : productOfCpuid(report.cpuid);
  const actual = `${leaf.productName}, CPUID ${report.cpuid === undefined ? "absent" : `${report.cpuid.family}/${report.cpuid.model}`}`;
  exam.require(
    "snp.product",
    named !== undefined && named === measured,
    "one known product",
    actual,
    kds("3.1"),
  );
  // Turin came with version 3: a version 2 report has another layout of its TCB there.
  const clear = report.cpuid !== undefined || named !== "Turin";
  exam.require(
    "snp.product-version",
    clear,
    "version 3 or later on Turin",
    `version ${report.version}`,
    abi("table 23"),
  );
  return named as SnpProduct;
}

interface ChainInput extends Leaf {
  readonly product: SnpProduct;
  readonly anchors: readonly Uint8Array[] | undefined;
}

interface SnpChain {
  readonly verified: VerifiedChain;
  /** ASK or ASVK. */
  readonly issuer: Certificate;
}

async function requireChain(
  exam: Examination,
  { crypto, now }: VerifyContext,
  { leaf, certificate, others, product, anchors }: ChainInput,
): Promise<SnpChain> {
  const { root, ...issuers } = authorities[product];
  const bundled = anchors === undefined ? certificatesIn(issuers[leaf.kind]) : [];
  // A certificate that came along counts as a link only: its chain must end at the pinned root.
  const issuer = [...bundled, ...others].find(({ subject }) =>
    equalBytes(subject, certificate.issuer),
  );
  const name = certificate.issuerCommonName ?? "no name";
  exam.require(
    "snp.issuer",
    issuer !== undefined,
    `the issuer of the ${leaf.kind}`,
    name,
    kds("3.1"),
  );
  const expected = leaf.kind === "VCEK" ? `SEV-${product}` : `SEV-VLEK-${product}`;
  exam.require("snp.issuer-name", name === expected, expected, name.slice(0, 80), kds("3.1"));
  const verified = await verifyChain(exam, {
    crypto,
    now,
    chain: [certificate, issuer as Certificate],
    anchors: anchors ?? certificatesIn(root).map(({ raw }) => raw),
    prefix: "snp",
    source: kds("3.1"),
  });
  return { verified, issuer: issuer as Certificate };
}

const parsed = new Map<string, readonly Certificate[]>();

/** Of our own constants, each parsed once. */
function certificatesIn(pem: string): readonly Certificate[] {
  const known =
    parsed.get(pem) ??
    decodePem("AMD authority", pem).map((der) => parseCertificate("AMD authority", der));
  parsed.set(pem, known);
  return known;
}

/** AMD's list is signed by the root and names intermediates; whoever goes without it says so. */
async function checkCrl(
  exam: Examination,
  { crypto, now, collateral }: VerifyContext,
  { verified, issuer }: SnpChain,
): Promise<void> {
  const bytes = collateral["crl"];
  if (bytes === undefined) {
    exam.relax("snp.crl-absent", "AMD's revocation list of the product", "none given", kds("4.3"));
    return;
  }
  const der = isPem(bytes) ? decodePem("AMD CRL", bytes, "X509 CRL")[0] : bytes;
  const crl = parseCrl("AMD CRL", der ?? new Uint8Array(0));
  await verifyCrl(exam, {
    crypto,
    now,
    crl,
    issuer: verified.anchor,
    prefix: "snp",
    name: "AMD CRL",
    subjects: [issuer],
    source: kds("4.3"),
  });
}

/** The certificate is of this chip at this TCB: an old key must not vouch for a new version. */
function requireMatch(
  exam: Examination,
  report: SnpReport,
  leaf: AmdLeaf,
  product: SnpProduct,
): void {
  const reported = tcbVersion(product, report.reportedTcb);
  exam.require(
    "snp.tcb",
    sameTcb(leaf.tcb, reported),
    tcbText(reported),
    tcbText(leaf.tcb),
    kds("3.1"),
  );
  const { hardwareId } = leaf;
  if (hardwareId === undefined || report.chipId.every((byte) => byte === 0)) {
    const masked = hardwareId === undefined ? `masked (${leaf.kind})` : "masked";
    if (hardwareId !== undefined) {
      exam.relax("snp.chip-id-masked", "the chip's identity", masked, abi("table 23"));
    }
    return;
  }
  // Turin identifies a chip by 8 bytes, zeros after them.
  const length = product === "Turin" ? 8 : 64;
  const padded = new Uint8Array(64);
  padded.set(hardwareId);
  const same = hardwareId.length === length && equalBytes(padded, report.chipId);
  exam.require("snp.chip-id", same, toHex(report.chipId), toHex(hardwareId), kds("3.1"));
}

async function requireSignature(
  exam: Examination,
  crypto: Crypto,
  report: SnpReport,
  certificate: Certificate,
): Promise<void> {
  const p384 = algorithmOf(certificate) === "ES384";
  exam.require("snp.key", p384, "a P-384 key", p384 ? "P-384" : "another", kds("3.1"));
  // r and s are 72 bytes, little-endian; P-384 has 48, and no byte of the rest may differ from 0.
  const high = [...report.r.subarray(48), ...report.s.subarray(48)];
  exam.require(
    "snp.signature-form",
    high.every((byte) => byte === 0),
    "numbers of 48 bytes",
    "larger or not",
    abi("table 23"),
  );
  const big = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes.subarray(0, 48)).reverse();
  const signature = concat(big(report.r), big(report.s));
  const ok = await crypto.verify(
    "ES384",
    certificate.spki,
    signature,
    report.raw.subarray(0, signedBytes),
  );
  exam.require(
    "snp.signature",
    ok,
    `signed by the ${kindOf(certificate)}`,
    ok ? "verifies" : "does not verify",
    abi("7.3"),
  );
}

function algorithmOf(certificate: Certificate): string {
  try {
    return keyAlgorithm(certificate.spki);
  } catch {
    return "";
  }
}

/** What is genuine and yet not for everyone: a policy has to name it. */
function relax(exam: Examination, report: SnpReport, product: SnpProduct): void {
  if (report.vmpl !== 0) {
    exam.relax("snp.vmpl", "VMPL 0", `VMPL ${report.vmpl}`, abi("table 23"));
  }
  if (migrationAgentAllowed(report)) {
    exam.relax("snp.migration-agent", "no migration agent", "allowed", abi("table 9"));
  }
  if (unknownPolicyBits(report)) {
    exam.relax(
      "snp.unknown-policy-bits",
      "known policy bits only",
      `0x${report.policy.toString(16)}`,
      abi("table 9"),
    );
  }
  const current = tcbVersion(product, report.currentTcb);
  const committed = tcbVersion(product, report.committedTcb);
  const reported = tcbVersion(product, report.reportedTcb);
  const firmware = report.currentFirmware.join(".");
  const same =
    firmware === report.committedFirmware.join(".") &&
    sameTcb(current, committed) &&
    sameTcb(reported, committed);
  if (!same) {
    // Until it is committed, the host can go back to older firmware.
    exam.relax(
      "snp.provisional-firmware",
      `committed: ${tcbText(committed)}`,
      `current: ${tcbText(current)}; reported: ${tcbText(reported)}`,
      abi("3.3"),
    );
  }
  if (
    report.launchMitigations !== undefined &&
    report.currentMitigations !== report.launchMitigations
  ) {
    exam.relax(
      "snp.mitigations-changed",
      "mitigations as at launch",
      "others now",
      abi("table 23"),
    );
  }
}
