/** Evidence (RFC 9334): what an attester says about a trust domain, and the envelope it travels in. */

import type { Crypto } from "@vivarium/core";

/** Evidence types, by the names the field uses (CoCo where it has one). */
export const evidenceTypes = [
  "sgx",
  "tdx",
  "snp",
  "sev",
  "sev-es",
  "csv",
  "cca",
  "tpm",
  "az-snp-vtpm",
  "az-tdx-vtpm",
  "nitro",
  "simulated",
] as const;
export type EvidenceType = (typeof evidenceTypes)[number];

/** Evidence as it crosses a channel. Nothing in it has been verified. */
export interface Evidence {
  readonly type: EvidenceType;
  /** The signed statement in the TEE's own format. */
  readonly bytes: Uint8Array;
  /** What a verifier reads beside it, by name: `eventlog`, `certificates`, … Each bounded. */
  readonly attachments: Readonly<Record<string, Uint8Array>>;
}

/** Certificates, CRLs, TCB info, reference data, by name. Always an input of verification. */
export type Collateral = Readonly<Record<string, Uint8Array>>;

/** Produces evidence about the trust domain this process runs in. */
export interface Attester {
  readonly type: EvidenceType;
  /**
   * @param reportData 64 bytes to be signed (a binding); types with a smaller field carry a digest
   * of it, see `reportDataFor`.
   * @throws AttestationError `unavailable` if the device is absent or refuses, naming its path.
   */
  collect(reportData: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<Evidence>;
}

/** What separates the trust domain from its host. A bare TPM measures, and isolates nothing. */
export type Isolation = "tee" | "none" | "simulated";

/**
 * What the evidence is bound to: this very session; only the peer's key (RA-TLS certificates: may
 * be replayed by whoever holds the key); or a secret injected at launch (SEV, SEV-ES).
 */
export type Binding = "session" | "key-only" | "launch-secret";

/** TCB states of Intel's and AMD's vocabularies; other TEEs map onto the first and last. */
export const tcbStatuses = [
  "UpToDate",
  "SWHardeningNeeded",
  "ConfigurationNeeded",
  "ConfigurationAndSWHardeningNeeded",
  "OutOfDate",
  "OutOfDateConfigurationNeeded",
  "TDRelaunchAdvised",
  "TDRelaunchAdvisedConfigurationNeeded",
  "Revoked",
] as const;
export type TcbStatus = (typeof tcbStatuses)[number];

/** One rule of an appraisal with what it wanted and what it got. Passed rules are listed as well. */
export interface Finding {
  /** Stable name, such as `measurement.code` or `report-data`. */
  readonly rule: string;
  readonly ok: boolean;
  readonly expected: string;
  readonly actual: string;
  /** Clause of the specification behind the rule, where there is one. */
  readonly source?: string;
  /** Which record of the role's `accept` list the rule is of, where it is of one. */
  readonly record?: number;
}

/**
 * Something genuine that a strict policy refuses unless it names it: a risk with an owner. It shows
 * as a finding `allow.<name>` of every appraisal, allowed or not.
 */
export interface Relaxation {
  /** Stable name that a policy's `allow` may hold, such as `snp.provisional-firmware`. */
  readonly name: string;
  readonly expected: string;
  readonly actual: string;
  readonly source?: string;
}

/** JSON values of claims. */
export type Claim =
  | string
  | number
  | boolean
  | null
  | readonly Claim[]
  | { readonly [name: string]: Claim };

/** What a verifier has established about one piece of evidence; not yet held against a policy. */
export interface VerifiedEvidence {
  readonly type: EvidenceType;
  /** All parsed claims, by trustee's names (`attestation-service/docs/tcb_claims.md`). */
  readonly claims: Readonly<Record<string, Claim>>;
  /** Measurements a policy may pin, by name. */
  readonly measurements: Readonly<Record<string, Uint8Array>>;
  /** Security version numbers a policy may bound from below, by name. */
  readonly svn: Readonly<Record<string, number>>;
  readonly tcb: { readonly status: TcbStatus; readonly advisories: readonly string[] };
  /** What a policy must `allow` by name; empty for evidence that the strict default takes. */
  readonly relaxations: readonly Relaxation[];
  /** Switches that a policy may `require` on or off, by name (`smt`, `single_socket`, …). */
  readonly attributes: Readonly<Record<string, boolean>>;
  /** True if a debugger may look into the trust domain. */
  readonly debug: boolean;
  /** The whole report-data field, never trimmed. */
  readonly reportData: Uint8Array;
  /** Milliseconds since the epoch, where the evidence says when it was made. */
  readonly issuedAt: number | undefined;
  /** Milliseconds since the epoch: the earliest end of any certificate or collateral used. */
  readonly notAfter: number;
  readonly isolation: Isolation;
  /** What this evidence can be bound to at best. */
  readonly binding: Binding;
  /** `sha256:…` of the SubjectPublicKeyInfo of the trust anchor that was used. */
  readonly root: string;
  readonly findings: readonly Finding[];
}

/** Everything a verifier may use. No network, no global clock. */
export interface VerifyContext {
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly collateral: Collateral;
}

/** Verifies one type of evidence. Pure and asynchronous; runs in Node and browsers. */
export interface Verifier {
  readonly type: EvidenceType;
  /**
   * Which measurements a policy record of this type must pin: at least all names of one of these
   * alternatives, so that a policy cannot accept every genuine machine.
   */
  readonly pins: readonly (readonly string[])[];
  /** True if a policy record must name its trust anchor (`root`). */
  readonly needsRoot: boolean;
  /**
   * What the evidence says, by trustee's names; nothing of it has been verified.
   * @throws AttestationError `malformed`.
   */
  read(evidence: Evidence): Readonly<Record<string, Claim>>;
  /** @throws AttestationError with the findings if the evidence is malformed or not genuine. */
  verify(evidence: Evidence, context: VerifyContext): Promise<VerifiedEvidence>;
}
