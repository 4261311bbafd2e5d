/** Attestation results: the only thing a release accepts. */
import type { Clock } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import type { Binding, Claim, EvidenceType, Finding, Isolation, TcbStatus } from "./evidence.ts";
import type { StatementKeys } from "./statement.ts";

/** The content of an {@link AttestationResult}. */
export interface AttestationResultFields {
  readonly tee: EvidenceType;
  readonly isolation: Isolation;
  readonly binding: Binding;
  /** Role of the policy that was applied. */
  readonly role: string;
  /** Fingerprint of the party's long-term identity. */
  readonly identity: string;
  readonly claims: Readonly<Record<string, Claim>>;
  /** Measurements by name, lower-case hex. */
  readonly measurements: Readonly<Record<string, string>>;
  readonly tcb: { readonly status: TcbStatus; readonly advisories: readonly string[] };
  readonly findings: readonly Finding[];
  /** Digests, lower-case hex. */
  readonly policyDigest: string;
  readonly evidenceDigest: string;
  readonly statementDigest: string;
  /** Keys of the peer's process, from its statement. */
  readonly keys: StatementKeys;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** Handed to the constructor by this module only; never exported. */
const permit: unique symbol = Symbol("verifier");

/**
 * An accepted appraisal. Cannot be made, copied or deserialised by anything but the verifier: a
 * boolean or a look-alike object is not acceptance.
 */
export class AttestationResult implements AttestationResultFields {
  readonly #genuine = true;
  readonly tee: EvidenceType;
  readonly isolation: Isolation;
  readonly binding: Binding;
  readonly role: string;
  readonly identity: string;
  readonly claims: Readonly<Record<string, Claim>>;
  readonly measurements: Readonly<Record<string, string>>;
  readonly tcb: { readonly status: TcbStatus; readonly advisories: readonly string[] };
  readonly findings: readonly Finding[];
  readonly policyDigest: string;
  readonly evidenceDigest: string;
  readonly statementDigest: string;
  readonly keys: StatementKeys;
  readonly issuedAt: number;
  readonly expiresAt: number;

  /** @internal */
  constructor(permission: symbol, fields: AttestationResultFields) {
    if (permission !== permit) {
      throw new AttestationError("not-a-result", "Only a verifier makes attestation results.");
    }
    this.tee = fields.tee;
    this.isolation = fields.isolation;
    this.binding = fields.binding;
    this.role = fields.role;
    this.identity = fields.identity;
    this.claims = fields.claims;
    this.measurements = fields.measurements;
    this.tcb = fields.tcb;
    this.findings = fields.findings;
    this.policyDigest = fields.policyDigest;
    this.evidenceDigest = fields.evidenceDigest;
    this.statementDigest = fields.statementDigest;
    this.keys = fields.keys;
    this.issuedAt = fields.issuedAt;
    this.expiresAt = fields.expiresAt;
    Object.freeze(this);
  }

  /** True for results of a verifier in this process only, whatever the object claims to be. */
  static is(value: unknown): value is AttestationResult {
    return typeof value === "object" && value !== null && #genuine in value && value.#genuine;
  }

  /**
   * Checked by every release, at the moment of the release.
   * @throws AttestationError `not-a-result` or `expired`.
   */
  static requireValid(value: unknown, clock: Clock): asserts value is AttestationResult {
    if (!AttestationResult.is(value)) {
      throw new AttestationError("not-a-result", "A release needs the result of a verifier.");
    }
    if (clock.now() >= value.expiresAt) {
      throw new AttestationError("expired", "The attestation result has expired; attest again.");
    }
  }
}

/** @internal For the appraiser and the EAR reader of this package only; not exported from it. */
export function constructResult(fields: AttestationResultFields): AttestationResult {
  return new AttestationResult(permit, fields);
}
