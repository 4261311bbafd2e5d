/**
 * Evidence of an instance that names no party and makes no statement: what key brokers of the field
 * (CoCo's RCAR) are shown. It proves that *some* genuine trust domain of an accepted kind holds a key;
 * not whose it is. Its results are of a class of their own, so that no channel and no release for a
 * party can take one.
 */
import { type Clock, type Crypto, equalBytes, toHex } from "@vivarium/core";
import { evidenceDigest } from "./envelope.ts";
import { AttestationError } from "./errors.ts";
import type {
  Claim,
  Collateral,
  Evidence,
  EvidenceType,
  Finding,
  Isolation,
  TcbStatus,
  VerifiedEvidence,
  Verifier,
} from "./evidence.ts";
import type { Policy, PolicyRecord } from "./policy.ts";
import { checkPolicy, parsePolicy, policyDigest } from "./policy-parse.ts";
import { reportDataFor } from "./report-data.ts";
import type { Revocations } from "./revocation.ts";
import {
  ageRules,
  attributeRules,
  bindingRules,
  debugRule,
  genuineRules,
  hexMeasurements,
  isolationRule,
  measurementRules,
  relaxationRules,
  revocationRule,
  rootRule,
  svnRules,
  tcbRule,
} from "./rules.ts";
import { requireVerified } from "./verified.ts";

export interface InstanceInput {
  readonly evidence: Evidence;
  readonly collateral: Collateral;
  /** The 64 bytes that *we* computed over our nonce and the instance's key. */
  readonly reportData: Uint8Array;
  /** Digest of that key, 32 bytes. */
  readonly keyDigest: Uint8Array;
}

export interface InstanceResultFields {
  readonly tee: EvidenceType;
  readonly isolation: Isolation;
  readonly claims: Readonly<Record<string, Claim>>;
  /** By name, lower-case hex. */
  readonly measurements: Readonly<Record<string, string>>;
  readonly tcb: { readonly status: TcbStatus; readonly advisories: readonly string[] };
  readonly findings: readonly Finding[];
  /** Digests, lower-case hex. */
  readonly policyDigest: string;
  readonly evidenceDigest: string;
  readonly keyDigest: string;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
}

export type InstanceAppraisal =
  | { readonly accepted: true; readonly result: InstanceResult }
  | { readonly accepted: false; readonly findings: readonly Finding[] };

export interface InstanceAppraiser {
  /**
   * Genuine, fresh and bound to the key; not yet held against any policy.
   * @throws AttestationError with findings for everything else, whatever the verifier does.
   */
  verify(input: InstanceInput): Promise<InstanceEvidence>;
  /** Holds it against the records of one policy, now. @throws AttestationError `invalid-policy`. */
  appraise(
    evidence: InstanceEvidence,
    records: readonly PolicyRecord[],
  ): Promise<InstanceAppraisal>;
}

const permit: unique symbol = Symbol("instance appraiser");

/** Evidence that has verified. Made by {@link createInstanceAppraiser} only. */
export class InstanceEvidence {
  readonly #verified: VerifiedEvidence;
  /** Digests, lower-case hex. */
  readonly evidenceDigest: string;
  readonly keyDigest: string;
  /** Milliseconds since the epoch: when we verified it. */
  readonly verifiedAt: number;

  /** @internal */
  constructor(
    permission: symbol,
    verified: VerifiedEvidence,
    digests: { readonly evidence: string; readonly key: string },
    now: number,
  ) {
    if (permission !== permit) {
      throw new AttestationError("not-a-result", "Only a verifier makes verified evidence.");
    }
    this.#verified = verified;
    this.evidenceDigest = digests.evidence;
    this.keyDigest = digests.key;
    this.verifiedAt = now;
    Object.freeze(this);
  }

  get tee(): EvidenceType {
    return this.#verified.type;
  }

  get isolation(): Isolation {
    return this.#verified.isolation;
  }

  get claims(): Readonly<Record<string, Claim>> {
    return this.#verified.claims;
  }

  /** @internal */
  static read(value: InstanceEvidence): VerifiedEvidence {
    if (!(#verified in value)) {
      throw new AttestationError("not-a-result", "Only a verifier makes verified evidence.");
    }
    return value.#verified;
  }
}

/** An accepted appraisal of an instance. Made by {@link createInstanceAppraiser} only. */
export class InstanceResult implements InstanceResultFields {
  readonly #genuine = true;
  readonly tee: EvidenceType;
  readonly isolation: Isolation;
  readonly claims: Readonly<Record<string, Claim>>;
  readonly measurements: Readonly<Record<string, string>>;
  readonly tcb: InstanceResultFields["tcb"];
  readonly findings: readonly Finding[];
  readonly policyDigest: string;
  readonly evidenceDigest: string;
  readonly keyDigest: string;
  readonly issuedAt: number;
  readonly expiresAt: number;

  /** @internal */
  constructor(permission: symbol, fields: InstanceResultFields) {
    if (permission !== permit) {
      throw new AttestationError("not-a-result", "Only a verifier makes attestation results.");
    }
    this.tee = fields.tee;
    this.isolation = fields.isolation;
    this.claims = fields.claims;
    this.measurements = fields.measurements;
    this.tcb = fields.tcb;
    this.findings = fields.findings;
    this.policyDigest = fields.policyDigest;
    this.evidenceDigest = fields.evidenceDigest;
    this.keyDigest = fields.keyDigest;
    this.issuedAt = fields.issuedAt;
    this.expiresAt = fields.expiresAt;
    Object.freeze(this);
  }

  /**
   * Checked by every release, at the moment of the release.
   * @throws AttestationError `not-a-result` or `expired`.
   */
  static requireValid(value: unknown, clock: Clock): asserts value is InstanceResult {
    if (typeof value !== "object" || value === null || !(#genuine in value)) {
      throw new AttestationError("not-a-result", "A release needs the result of a verifier.");
    }
    if (clock.now() >= (value as InstanceResult).expiresAt) {
      throw new AttestationError("expired", "The attestation result has expired; attest again.");
    }
  }
}

/** Stands where a policy names parties. No key has this fingerprint. */
const nobody = `sha256:${"0".repeat(64)}`;
const role = "instance";

function policyOf(records: unknown): Policy {
  return parsePolicy({
    version: 1,
    name: role,
    roles: { [role]: { identities: [nobody], accept: records } },
  });
}

/**
 * The records of a policy for instances, checked and frozen; with verifiers, also that each pins enough.
 * @throws AttestationError `invalid-policy`, naming every bad field by its path.
 */
export function parseRecords(
  document: unknown,
  verifiers: readonly Verifier[],
): readonly PolicyRecord[] {
  const policy = policyOf(document);
  checkPolicy(policy, verifiers);
  return (policy.roles[role] as { readonly accept: readonly PolicyRecord[] }).accept;
}

export function createInstanceAppraiser(options: {
  readonly verifiers: readonly Verifier[];
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly revocations?: Revocations;
}): InstanceAppraiser {
  const { verifiers, crypto, clock, revocations } = options;

  const decide = async (input: InstanceInput): Promise<InstanceEvidence> => {
    const { evidence, collateral, reportData, keyDigest } = input;
    const verifier = verifiers.find(({ type }) => type === evidence.type);
    if (verifier === undefined) {
      throw new AttestationError("unknown-type", "No verifier is registered for this evidence.");
    }
    if (keyDigest.length !== 32) {
      throw new AttestationError("malformed", "The digest of an instance's key has 32 bytes.");
    }
    const now = clock.now();
    const context = { crypto, now, collateral };
    const verified = requireVerified(evidence.type, await verifier.verify(evidence, context));
    const expected = await reportDataFor(crypto, verified.type, reportData);
    // The whole field: without it anybody's genuine evidence would do for anybody's key.
    if (expected.length === 0 || !equalBytes(expected, verified.reportData)) {
      throw new AttestationError("not-genuine", "The evidence is for another key or nonce.", {
        findings: [
          {
            rule: "report-data",
            ok: false,
            expected: toHex(expected),
            actual: `${toHex(verified.reportData.subarray(0, 64))} (${verified.reportData.length} bytes)`,
          },
        ],
      });
    }
    const digests = {
      evidence: toHex(await evidenceDigest(crypto, evidence)),
      key: toHex(keyDigest),
    };
    return new InstanceEvidence(permit, verified, digests, now);
  };

  return {
    async verify(input) {
      try {
        return await decide(input);
      } catch (cause) {
        if (cause instanceof AttestationError) throw cause;
        throw new AttestationError("not-genuine", "The evidence could not be verified.", { cause });
      }
    },

    async appraise(evidence, given) {
      const verified = InstanceEvidence.read(evidence);
      const records = parseRecords(given, verifiers);
      const now = clock.now();
      const subject = {
        identity: nobody,
        measurements: hexMeasurements(verified),
        tee: verified.type,
        tcbStatus: verified.tcb.status,
      };
      const rulesOf = (record: PolicyRecord): readonly Finding[] => [
        ...genuineRules(verified),
        rootRule(record, verified),
        ...measurementRules(record, verified, undefined),
        ...svnRules(record, verified),
        tcbRule(record, verified),
        ...relaxationRules(record, verified),
        ...attributeRules(record, verified),
        debugRule(record, verified),
        isolationRule(record, verified),
        ...bindingRules(record, "session", verified),
        ...ageRules(record, verified, now),
        revocationRule(revocations, subject),
      ];
      const failed: Finding[] = [];
      for (const [index, record] of records.entries()) {
        if (record.type !== verified.type) continue;
        const findings = rulesOf(record).map((finding) => ({ ...finding, record: index }));
        // Evidence without a date of its own ages from when we saw it.
        const expiresAt = Math.min(
          evidence.verifiedAt + record.maxAgeSeconds * 1000,
          verified.notAfter,
        );
        if (!(now < expiresAt)) {
          findings.push({
            rule: "age.verified",
            ok: false,
            expected: `at most ${record.maxAgeSeconds} s old`,
            actual: `${Math.round((now - evidence.verifiedAt) / 1000)} s old`,
            record: index,
          });
        }
        if (findings.every(({ ok }) => ok === true)) {
          const result = new InstanceResult(permit, {
            tee: verified.type,
            isolation: verified.isolation,
            claims: verified.claims,
            measurements: hexMeasurements(verified),
            tcb: verified.tcb,
            findings,
            policyDigest: toHex(await policyDigest(crypto, policyOf(given))),
            evidenceDigest: evidence.evidenceDigest,
            keyDigest: evidence.keyDigest,
            issuedAt: now,
            expiresAt,
          });
          return { accepted: true, result };
        }
        failed.push(...findings.filter(({ ok }) => ok !== true));
      }
      if (failed.length === 0) {
        const expected = [...new Set(records.map(({ type }) => type))].join(", ");
        failed.push({ rule: "type", ok: false, expected, actual: verified.type });
      }
      return { accepted: false, findings: failed };
    },
  };
}
