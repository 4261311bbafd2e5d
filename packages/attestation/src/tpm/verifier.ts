/**
 * TPM 2.0 evidence. A TPM measures what booted and isolates nothing: `isolation: none`. Whose TPM it is
 * shows in its attestation key: certified by a pinned authority, or named by the caller.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { fingerprint } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { verifyChain } from "../x509/chain.ts";
import { issuersPath } from "../x509/path.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import type { Certificate } from "../x509/types.ts";
import { requireAkCertificate } from "./ak-certificate.ts";
import { decodeTpmEvidence, type TpmEvidence } from "./container.ts";
import { requireTpmLog } from "./event-log.ts";
import {
  pcrMeasurements,
  publicKeyOf,
  requireAkAttributes,
  requireAkScheme,
  requireQuote,
} from "./quote.ts";
import { parseTpmQuote, type TpmQuote, tpmAlgorithms } from "./structures.ts";

export interface TpmVerifierOptions {
  /** DER of authorities of attestation keys. Default none: then the caller names each key. */
  readonly anchors?: readonly Uint8Array[];
}

const noEnd = Date.UTC(9999, 11, 31);

/**
 * Runs in Node and browsers. Collateral: `ak` (and `ak-2`, …), a trusted attestation key as TPMT_PUBLIC or SubjectPublicKeyInfo;
 * or an AK certificate (`certificates` of attachments or collateral) of an authority of `anchors`. A
 * policy must name the root: the key's or the authority's fingerprint.
 */
export function tpmVerifier(options: TpmVerifierOptions = {}): Verifier {
  const anchors = options.anchors ?? [];
  return {
    type: "tpm",
    // What boots, by its loader's PCR or the kernel's. PCR 0 alone would be any machine of that firmware.
    pins: [["pcr04"], ["pcr08"], ["pcr11"]],
    needsRoot: true,
    read: (evidence) => {
      const { message, pcrs } = evidenceOf(evidence);
      return { tpm: claimsOf(parseTpmQuote(message), { pcrs }) };
    },
    verify: (evidence, context) => verify(evidence, context, anchors),
  };
}

function evidenceOf(evidence: Evidence): TpmEvidence {
  if (evidence.type !== "tpm") {
    throw new AttestationError("unknown-type", "This verifier reads TPM evidence only.");
  }
  const known = ["certificates", "eventlog"];
  if (Object.keys(evidence.attachments).some((name) => !known.includes(name))) {
    const message = "TPM evidence has no attachments but certificates and an event log.";
    throw new AttestationError("malformed", message);
  }
  return decodeTpmEvidence(evidence.bytes);
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  anchors: readonly Uint8Array[],
): Promise<VerifiedEvidence> {
  const parts = evidenceOf(evidence);
  const exam = examine("TPM quote");
  const trust = await requireTrust(exam, context, evidence, parts, anchors);
  const quote = await requireQuote(exam, context.crypto, parts);
  const log = evidence.attachments["eventlog"];
  const explained =
    log === undefined
      ? undefined
      : await requireTpmLog(exam, context.crypto, log, quote, parts.pcrs);
  if (quote.selections.some(({ hash }) => hash === tpmAlgorithms.sha1)) {
    exam.relax("tpm.sha1-bank", "no SHA-1 bank", "selected", "TCG TPM 2.0 part 2, 6.3");
  }
  return {
    type: "tpm",
    claims: {
      tpm: {
        ...claimsOf(quote, parts),
        ...(explained === undefined ? {} : { eventlog: explained }),
      },
    },
    measurements: pcrMeasurements(parts.pcrs),
    svn: {},
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: { clock_safe: quote.safe },
    debug: false,
    reportData: quote.extraData,
    issuedAt: undefined,
    notAfter: trust.notAfter,
    isolation: "none",
    binding: "session",
    root: trust.root,
    findings: exam.findings,
  };
}

interface Trust {
  readonly root: string;
  readonly notAfter: number;
}

async function requireTrust(
  exam: Examination,
  { crypto, now, collateral }: VerifyContext,
  evidence: Evidence,
  { ak, signature }: TpmEvidence,
  anchors: readonly Uint8Array[],
): Promise<Trust> {
  const named = Object.entries(collateral)
    .filter(([name]) => /^ak(-\d+)?$/.test(name))
    .map(([, bytes]) => publicKeyOf(bytes))
    .find(({ spki }) => equalBytes(spki, ak));
  if (named !== undefined) {
    const root = await fingerprint(crypto, ak);
    exam.require("tpm.ak", true, "a key that the caller names", root);
    if (named.attributes === undefined) {
      const clause = "TCG TPM 2.0 part 2, 8.3";
      exam.relax("tpm.ak-attributes-unknown", "the key's public area", "the bare key", clause);
    } else requireAkAttributes(exam, named.attributes);
    requireAkScheme(exam, named, signature);
    return { root, notAfter: noEnd };
  }
  const certificates = [evidence.attachments["certificates"], collateral["certificates"]].flatMap(
    (bytes) => (bytes === undefined ? [] : certificatesOf(bytes)),
  );
  const leaf = certificates.find(({ spki }) => equalBytes(spki, ak));
  const actual = `unknown: ${await nameOf(crypto, ak)}; name it (collateral "ak") or give its certificate`;
  const known = leaf !== undefined && anchors.length > 0;
  exam.require("tpm.ak", known, "a trusted attestation key", known ? "certified" : actual);
  const chain = issuersPath(leaf as Certificate, certificates);
  const verified = await verifyChain(exam, {
    crypto,
    now,
    chain,
    anchors,
    prefix: "tpm",
    knownCritical: ["2.5.29.37", "2.5.29.17"],
  });
  requireAkCertificate(exam, leaf as Certificate);
  const root = await fingerprint(crypto, verified.anchor.spki);
  return { root, notAfter: verified.notAfter };
}

async function nameOf(crypto: Crypto, ak: Uint8Array): Promise<string> {
  return await fingerprint(crypto, ak);
}

function certificatesOf(bytes: Uint8Array): readonly Certificate[] {
  const ders = isPem(bytes) ? decodePem("AK certificates", bytes) : [bytes];
  return ders.map((der) => parseCertificate("AK certificate", der));
}

/** Claims of a quote and of the PCRs beside it. */
export function claimsOf(
  quote: TpmQuote,
  { pcrs }: Pick<TpmEvidence, "pcrs">,
): Readonly<Record<string, Claim>> {
  const values = [...pcrs].map(([bank, values]) => [
    `pcrs_${bank.toString(16).padStart(4, "0")}`,
    Object.fromEntries(
      [...values].map(([index, value]) => [`pcr${String(index).padStart(2, "0")}`, toHex(value)]),
    ),
  ]);
  return {
    report_data: toHex(quote.extraData),
    clock: quote.clock.toString(),
    reset_count: quote.resetCount,
    restart_count: quote.restartCount,
    safe: quote.safe,
    firmware_version: quote.firmwareVersion.toString(16),
    qualified_signer: toHex(quote.qualifiedSigner),
    ...(Object.fromEntries(values) as Record<string, Claim>),
  };
}
