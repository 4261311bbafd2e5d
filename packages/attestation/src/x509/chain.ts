/**
 * Certification paths and revocation lists, each step a finding. Source: RFC 5280 sections 6.1 and
 * 6.3. `X509Certificate.verify()` of Node checks the signature only; all else is here.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import type { Examination } from "../examination.ts";
import { maxClockSkewMs } from "../identity.ts";
import { oids, parseCertificate } from "./certificate.ts";
import type { Certificate, RevocationCrl } from "./types.ts";
import { verifySigned } from "./verify-signature.ts";

export interface ChainOptions {
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Leaf first, each issued by the next; the anchor may stand at the end or be left out. */
  readonly chain: readonly Certificate[];
  /** DER of the roots that are trusted, byte by byte. */
  readonly anchors: readonly Uint8Array[];
  /** Of rule names: `snp` gives `snp.chain`. */
  readonly prefix: string;
  readonly source?: string;
  /** Critical extensions that the caller evaluates itself. */
  readonly knownCritical?: readonly string[];
}

export interface VerifiedChain {
  readonly anchor: Certificate;
  /** Milliseconds since the epoch: the earliest end in the path, the anchor's included. */
  readonly notAfter: number;
}

const known: readonly string[] = [oids.basicConstraints, oids.keyUsage];
const maxChain = 8;
const day = (ms: number): string => new Date(ms).toISOString();

/** @throws AttestationError `not-genuine`, or `expired` where only a date is wrong. */
export async function verifyChain(
  exam: Examination,
  options: ChainOptions,
): Promise<VerifiedChain> {
  const { crypto, now, chain, prefix, source, knownCritical = [] } = options;
  const rule = `${prefix}.chain`;
  const length = chain.length > 0 && chain.length <= maxChain;
  exam.require(
    `${rule}.length`,
    length,
    `1 to ${maxChain} certificates`,
    `${chain.length}`,
    source,
  );
  const anchor = anchorOf(options);
  const last = chain.at(-1) as Certificate;
  exam.require(
    `${rule}.anchor`,
    anchor !== undefined,
    "ends at a trusted root",
    nameOf(last),
    source,
  );
  const root = anchor as Certificate;
  const path = equalBytes(last.raw, root.raw) ? chain : [...chain, root];
  for (const [i, certificate] of path.entries()) {
    const name = nameOf(certificate);
    const { notBefore, notAfter } = certificate;
    const current = notBefore <= now + maxClockSkewMs && now < notAfter;
    const window = `${day(notBefore)} to ${day(notAfter)}`;
    exam.require(
      `${rule}.dates`,
      current,
      `${day(now)} inside`,
      `${name}: ${window}`,
      source,
      "expired",
    );
    const strange = [...certificate.extensions]
      .filter(
        ([oid, { critical }]) => critical && !known.includes(oid) && !knownCritical.includes(oid),
      )
      .map(([oid]) => oid);
    exam.require(
      `${rule}.critical`,
      strange.length === 0,
      "no unknown critical extension",
      strange.join() || name,
      source,
    );
    if (i === 0) continue;
    const below = path[i - 1] as Certificate;
    const usage = certificate.keyUsage?.certSign ?? true;
    const may = certificate.ca && usage && (certificate.pathLength ?? maxChain) >= i - 1;
    exam.require(`${rule}.authority`, may, "a CA that may issue this path", name, source);
    const issued = equalBytes(below.issuer, certificate.subject);
    exam.require(
      `${rule}.issuer`,
      issued,
      `${nameOf(below)} names ${name}`,
      below.issuerCommonName ?? "another",
      source,
    );
    await requireSignature(exam, crypto, rule, below, certificate, source);
  }
  if (path.length === 1) await requireSignature(exam, crypto, rule, root, root, source);
  return { anchor: root, notAfter: Math.min(...path.map(({ notAfter }) => notAfter)) };
}

/** The trusted root that the path ends in or whose subject its last certificate names. */
function anchorOf({ chain, anchors }: ChainOptions): Certificate | undefined {
  const last = chain.at(-1) as Certificate;
  const roots = anchors.map((raw) => parseCertificate("Trust anchor", raw));
  const same = roots.find(({ raw }) => equalBytes(raw, last.raw));
  // A self-signed certificate that is not the anchor is somebody's look-alike, not a link to it.
  if (same !== undefined || equalBytes(last.issuer, last.subject)) return same;
  return roots.find(({ subject }) => equalBytes(subject, last.issuer));
}

async function requireSignature(
  exam: Examination,
  crypto: Crypto,
  rule: string,
  below: Certificate,
  issuer: Certificate,
  source: string | undefined,
): Promise<void> {
  const ok = await verifySigned(crypto, below, issuer.spki);
  const actual = ok ? "verifies" : "does not verify";
  exam.require(
    `${rule}.signature`,
    ok,
    `${nameOf(below)} signed by ${nameOf(issuer)}`,
    actual,
    source,
  );
}

export interface CrlOptions {
  readonly crypto: Crypto;
  readonly now: number;
  readonly crl: RevocationCrl;
  /** The certificate whose key must have signed it; already verified itself. */
  readonly issuer: Certificate;
  readonly prefix: string;
  /** Which list, for people. */
  readonly name: string;
  /** Certificates that must not be on it. Each must be of the list's issuer. */
  readonly subjects: readonly Certificate[];
  readonly source?: string;
}

/** Extensions of a CRL that change nothing for a whole, direct list. */
const knownCrlExtensions: readonly string[] = ["2.5.29.20", "2.5.29.35"];

/** @throws AttestationError `not-genuine`, or `expired` if the list is not current. */
export async function verifyCrl(exam: Examination, options: CrlOptions): Promise<void> {
  const { crypto, now, crl, issuer, prefix, name, subjects, source } = options;
  const rule = `${prefix}.crl`;
  const named = equalBytes(crl.issuer, issuer.subject);
  exam.require(
    `${rule}.issuer`,
    named,
    `${name} by ${nameOf(issuer)}`,
    named ? "it is" : "another issuer",
    source,
  );
  const may = issuer.ca && (issuer.keyUsage?.crlSign ?? true);
  exam.require(`${rule}.authority`, may, "an issuer that may sign CRLs", nameOf(issuer), source);
  // A delta or partitioned list (critical extensions) could leave out the certificate in question.
  const strange = [...crl.extensions]
    .filter(([oid, { critical }]) => critical && !knownCrlExtensions.includes(oid))
    .map(([oid]) => oid);
  exam.require(
    `${rule}.critical`,
    strange.length === 0,
    "a whole list",
    strange.join() || "whole",
    source,
  );
  const ok = await verifySigned(crypto, crl, issuer.spki);
  exam.require(
    `${rule}.signature`,
    ok,
    `${name} signed by ${nameOf(issuer)}`,
    ok ? "verifies" : "does not verify",
    source,
  );
  const current = crl.thisUpdate <= now + maxClockSkewMs && now < crl.nextUpdate;
  const window = `${day(crl.thisUpdate)} to ${day(crl.nextUpdate)}`;
  exam.require(
    `${rule}.dates`,
    current,
    `${day(now)} inside`,
    `${name}: ${window}`,
    source,
    "expired",
  );
  for (const subject of subjects) {
    const own = equalBytes(subject.issuer, crl.issuer);
    exam.require(
      `${rule}.scope`,
      own,
      `a list of the issuer of ${nameOf(subject)}`,
      own ? "it is" : "another",
      source,
    );
    const listed = crl.revoked.has(toHex(subject.serial));
    exam.require(
      `${rule}.listed`,
      !listed,
      `${nameOf(subject)} not revoked`,
      listed ? "revoked" : "not listed",
      source,
    );
  }
}

/** Common names come from certificates that may not be verified yet: short, and printable only. */
function nameOf(certificate: Certificate): string {
  return (certificate.commonName ?? "a certificate without a name")
    .slice(0, 80)
    .replace(/[^\x20-\x7e]/g, "?");
}
