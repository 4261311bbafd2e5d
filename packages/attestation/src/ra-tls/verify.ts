/**
 * RA-TLS certificates of other projects: evidence inside an X.509 certificate, bound to its key.
 * The format is open to replay and diversion (CCC interoperable-ra-tls, notice of July 2026): the
 * evidence is not fresh and names no session. So its binding is `key-only`, which a policy must name.
 */
import { type Crypto, concat, equalBytes } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type {
  Collateral,
  Evidence,
  EvidenceType,
  VerifiedEvidence,
  Verifier,
} from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { fingerprint } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { bitsOf, childrenOf, readDer } from "../x509/der.ts";
import type { Certificate } from "../x509/types.ts";
import { verifySigned } from "../x509/verify-signature.ts";
import { claimsNameKey, parseTaggedEvidence } from "./claims.ts";

/** Extensions that carry evidence. */
export const raTlsOids = {
  /** CCC interoperable format (tcg-dice-conceptual-message-wrapper). */
  interoperable: "2.23.133.5.4.9",
  /** Gramine before 1.8; a mistaken encoding of Intel's arc, as it is on the wire. */
  gramineLegacy: "0.6.9.42.840.113741.1337.6",
  /** rats-tls of 2021 and the first RA-TLS: over the PKCS #1 key. */
  ratsTlsLegacy: "1.2.840.113741.1337.6",
} as const;

export type RaTlsFormat = keyof typeof raTlsOids;

export interface RaTlsOptions {
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly collateral: Collateral;
  /** For the types of evidence that are welcome. */
  readonly verifiers: readonly Verifier[];
  /** Also read the formats before 2023 that sign no claims. Default false. */
  readonly legacy?: boolean;
}

export interface VerifiedRaTls {
  readonly format: RaTlsFormat;
  /** Of the certificate: the key that the evidence vouches for, and no other. */
  readonly spki: Uint8Array;
  /** `binding` is `key-only`, and `notAfter` no later than the certificate's. */
  readonly verified: VerifiedEvidence;
}

/** What a certificate carries. @throws AttestationError `malformed` if it carries no evidence. */
export function readRaTls(
  der: Uint8Array,
  legacy = false,
): {
  readonly certificate: Certificate;
  readonly format: RaTlsFormat;
  readonly evidence: Evidence;
  readonly claims?: Uint8Array;
} {
  const certificate = parseCertificate("RA-TLS certificate", der);
  const formats = (Object.keys(raTlsOids) as RaTlsFormat[]).filter((name) =>
    certificate.extensions.has(raTlsOids[name]),
  );
  // The newest format decides: falling back to an older one would let an attacker choose.
  const [format] = formats;
  if (format === undefined) {
    throw new AttestationError("malformed", "The certificate carries no RA-TLS evidence.");
  }
  const { value } = certificate.extensions.get(raTlsOids[format]) as { readonly value: Uint8Array };
  if (format !== "interoperable") {
    if (!legacy) {
      throw new AttestationError(
        "malformed",
        `The certificate carries evidence in the legacy format ${raTlsOids[format]} only; allow it by name.`,
      );
    }
    return { certificate, format, evidence: quoteOf(value) };
  }
  const { type, evidence, claims } = parseTaggedEvidence(value);
  const read: Evidence =
    type === "intel" ? quoteOf(evidence) : { type, bytes: evidence, attachments: {} };
  return { certificate, format, evidence: read, claims };
}

/** @throws AttestationError with its findings; `expired` after the certificate's end. */
export async function verifyRaTls(der: Uint8Array, options: RaTlsOptions): Promise<VerifiedRaTls> {
  const { crypto, now, collateral, verifiers, legacy = false } = options;
  const { certificate, format, evidence, claims } = readRaTls(der, legacy);
  const exam = examine("RA-TLS certificate");
  await requireSelfSigned(exam, crypto, certificate);
  const current = certificate.notBefore <= now && now < certificate.notAfter;
  const window = `${iso(certificate.notBefore)} to ${iso(certificate.notAfter)}`;
  exam.require(
    "ra-tls.dates",
    current,
    `${iso(now)} inside`,
    window,
    "RFC 5280 section 4.1.2.5",
    "expired",
  );
  const strange = [...certificate.extensions].filter(
    ([oid, { critical }]) => critical && !["2.5.29.19", "2.5.29.15"].includes(oid),
  );
  exam.require(
    "ra-tls.critical",
    strange.length === 0,
    "no unknown critical extension",
    `${strange.length}`,
  );

  const verifier = verifiers.find(({ type }) => type === evidence.type);
  if (verifier === undefined) {
    throw new AttestationError("unknown-type", `No verifier is registered for ${evidence.type}.`);
  }
  const inner = await verifier.verify(evidence, { crypto, now, collateral });
  if (inner.type !== evidence.type) throw new AttestationError("not-genuine", "Another type.");
  const signed = claims ?? keyForm(format, certificate.spki);
  const digest = await crypto.digest("SHA-256", signed);
  const expected = concat(digest, new Uint8Array(32));
  const bound = equalBytes(inner.reportData, expected);
  exam.require(
    "ra-tls.report-data",
    bound,
    "SHA-256 of the claims, then zeros",
    bound ? "it is" : "another value",
  );
  if (claims !== undefined) {
    const named = await claimsNameKey(crypto, claims, certificate.spki);
    exam.require(
      "ra-tls.key",
      named,
      "claims that name the certificate's key",
      named ? "they do" : "another key",
    );
  }
  const verified: VerifiedEvidence = {
    ...inner,
    binding: "key-only",
    notAfter: Math.min(inner.notAfter, certificate.notAfter),
    findings: [...inner.findings, ...exam.findings],
    claims: {
      ...inner.claims,
      ra_tls: { format, key: await fingerprint(crypto, certificate.spki) },
    },
  };
  return { format, spki: certificate.spki, verified };
}

async function requireSelfSigned(
  exam: Examination,
  crypto: Crypto,
  certificate: Certificate,
): Promise<void> {
  const ok = await verifySigned(crypto, certificate, certificate.spki);
  exam.require(
    "ra-tls.self-signature",
    ok,
    "signed by its own key",
    ok ? "verifies" : "does not verify",
  );
}

/** Version and TEE type stand at offsets 0 and 4 of a quote's header. */
function quoteOf(bytes: Uint8Array): Evidence {
  const tee = (bytes[4] ?? 0) | ((bytes[5] ?? 0) << 8);
  const type: EvidenceType = tee === 0x81 && (bytes[0] ?? 0) >= 4 ? "tdx" : "sgx";
  return { type, bytes, attachments: {} };
}

/** What the legacy formats hash: Gramine the whole SPKI, rats-tls the key inside its BIT STRING. */
function keyForm(format: RaTlsFormat, spki: Uint8Array): Uint8Array {
  if (format === "gramineLegacy") return spki;
  return bitsOf("Public key", childrenOf("Public key", readDer("Public key", spki))[1]);
}

const iso = (ms: number): string => new Date(ms).toISOString();

/**
 * The verifiers with the certificate around the evidence checked as well, for whoever judges both
 * as one.
 */
export function raTlsVerifiers(
  certificate: Uint8Array,
  verifiers: readonly Verifier[],
  legacy = false,
): readonly Verifier[] {
  return verifiers.map((inner) => ({
    ...inner,
    verify: async (_evidence, context) =>
      (await verifyRaTls(certificate, { ...context, verifiers, legacy })).verified,
  }));
}
