/**
 * The appraiser: evidence, statement and identity of a peer against our policy. The only way from
 * evidence to an {@link AttestationResult}. Source: RFC 9334 section 4; the order of the rules is
 * ARCHITECTURE.md's.
 */
import { type Clock, type Crypto, toHex } from "@vivarium/core";
import { evidenceDigest } from "./envelope.ts";
import { AttestationError, type AttestationErrorCode } from "./errors.ts";
import type {
  Binding,
  Collateral,
  Evidence,
  Finding,
  VerifiedEvidence,
  Verifier,
} from "./evidence.ts";
import type { Policy, PolicyRecord } from "./policy.ts";
import { checkPolicy, parsePolicy, policyDigest } from "./policy-parse.ts";
import { reportDataFor } from "./report-data.ts";
import { type AttestationResult, constructResult } from "./result.ts";
import type { RevocationSubject, Revocations } from "./revocation.ts";
import {
  ageRules,
  attributeRules,
  bindingRules,
  boundAs,
  debugRule,
  genuineRules,
  hexMeasurements,
  identityRules,
  isolationRule,
  measurementRules,
  relaxationRules,
  reportDataRule,
  revocationRule,
  rootRule,
  statementRules,
  svnRules,
  tcbRule,
} from "./rules.ts";
import { type Statement, statementDigest } from "./statement.ts";
import { requireVerified } from "./verified.ts";

export interface AppraiserOptions {
  /** At most one for each type of evidence. */
  readonly verifiers: readonly Verifier[];
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly revocations?: Revocations;
}

export interface AppraisalInput {
  readonly evidence: Evidence;
  readonly collateral: Collateral;
  readonly policy: Policy;
  /** Role of the peer, as our policy names it. */
  readonly role: string;
  /** The peer's statement. */
  readonly statement: Statement;
  /** Fingerprint of the peer's identity, already proven by the handshake. */
  readonly identity: string;
  /** End of the peer's delegation, milliseconds since the epoch. */
  readonly identityNotAfter: number;
  /** The 64-byte binding that *we* computed. */
  readonly reportData: Uint8Array;
  /** What that binding covers: `session` in channels. */
  readonly binding: Binding;
}

export type Appraisal =
  | {
      readonly accepted: true;
      readonly result: AttestationResult;
      readonly findings: readonly Finding[];
    }
  | {
      readonly accepted: false;
      readonly findings: readonly Finding[];
      readonly error: AttestationError;
    };

export interface Appraiser {
  /** Never throws for bad evidence: that is a refusal with its findings. */
  appraise(input: AppraisalInput): Promise<Appraisal>;
}

/** @throws AttestationError `unknown-type` if two verifiers are for the same type of evidence. */
export function createAppraiser(options: AppraiserOptions): Appraiser {
  const { verifiers, crypto, clock, revocations } = options;
  if (new Set(verifiers.map(({ type }) => type)).size !== verifiers.length) {
    throw new AttestationError("unknown-type", "Two verifiers are for the same type of evidence.");
  }

  async function decide(input: AppraisalInput): Promise<Appraisal> {
    const policy = parsePolicy(input.policy);
    checkPolicy(policy, verifiers);
    const role = Object.hasOwn(policy.roles, input.role) ? policy.roles[input.role] : undefined;
    if (role === undefined) throw refusal("role", "a role of the policy", input.role);

    const now = clock.now();
    const verified = await verify(input, now);
    const expected = await reportDataFor(crypto, verified.type, input.reportData);
    const subject = revocationSubject(input, verified);

    const appraiseRecord = (record: PolicyRecord): readonly Finding[] => [
      ...genuineRules(verified),
      rootRule(record, verified),
      ...measurementRules(record, verified, input.statement),
      ...statementRules(input.statement, verified),
      reportDataRule(expected, verified),
      ...svnRules(record, verified),
      tcbRule(record, verified),
      ...relaxationRules(record, verified),
      ...attributeRules(record, verified),
      debugRule(record, verified),
      isolationRule(record, verified),
      ...bindingRules(record, boundAs(input.binding, verified), verified),
      ...ageRules(record, verified, now),
      ...identityRules(role, input.identity, input.identityNotAfter, now),
      revocationRule(revocations, subject),
    ];

    const candidates = [...role.accept.entries()].filter(([, { type }]) => type === verified.type);
    if (candidates.length === 0) {
      throw refusal("type", role.accept.map(({ type }) => type).join(", "), verified.type);
    }
    const all: Finding[] = [];
    for (const [index, record] of candidates) {
      const findings = appraiseRecord(record).map((finding) => ({ ...finding, record: index }));
      if (findings.every(({ ok }) => ok === true)) return accept(input, record, verified, findings);
      all.push(...findings);
    }
    return refuse(codeOf(all), "The policy refuses the evidence.", all);
  }

  async function verify(input: AppraisalInput, now: number): Promise<VerifiedEvidence> {
    const { evidence, collateral } = input;
    const verifier = verifiers.find(({ type }) => type === evidence.type);
    if (verifier === undefined) {
      throw new AttestationError("unknown-type", "No verifier is registered for this evidence.", {
        findings: [failed("type", "a registered verifier", String(evidence.type))],
      });
    }
    return requireVerified(
      evidence.type,
      await verifier.verify(evidence, { crypto, now, collateral }),
    );
  }

  async function accept(
    input: AppraisalInput,
    record: PolicyRecord,
    verified: VerifiedEvidence,
    findings: readonly Finding[],
  ): Promise<Appraisal> {
    const [policy, evidence, statement] = await Promise.all([
      policyDigest(crypto, input.policy),
      evidenceDigest(crypto, input.evidence),
      statementDigest(crypto, input.statement),
    ]);
    const issuedAt = clock.now();
    const lifetime = issuedAt + record.maxAgeSeconds * 1000;
    const result = constructResult({
      tee: verified.type,
      isolation: verified.isolation,
      binding: boundAs(input.binding, verified),
      role: input.role,
      identity: input.identity,
      claims: verified.claims,
      measurements: hexMeasurements(verified),
      tcb: verified.tcb,
      findings,
      policyDigest: toHex(policy),
      evidenceDigest: toHex(evidence),
      statementDigest: toHex(statement),
      keys: input.statement.keys,
      issuedAt,
      expiresAt: Math.min(lifetime, verified.notAfter, input.identityNotAfter),
    });
    return { accepted: true, result, findings };
  }

  return {
    async appraise(input) {
      try {
        return await decide(input);
      } catch (cause) {
        if (cause instanceof AttestationError) {
          const findings = cause.findings.filter(({ ok }) => ok !== true);
          return refuse(
            cause.code,
            cause.message,
            findings.length > 0 ? cause.findings : [failed("genuine", "verifies", cause.message)],
            cause,
          );
        }
        // Whatever a verifier does, it must not take down the service or pass for a decision.
        const finding = failed("genuine", "a decision of the verifier", "the verifier failed");
        return refuse("not-genuine", "The evidence could not be verified.", [finding], cause);
      }
    },
  };
}

function failed(rule: string, expected: string, actual: string): Finding {
  return { rule, ok: false, expected, actual };
}

function refusal(rule: string, expected: string, actual: string): AttestationError {
  return new AttestationError("refused-by-policy", `The policy has no such ${rule}.`, {
    findings: [failed(rule, expected, actual)],
  });
}

function refuse(
  code: AttestationErrorCode,
  message: string,
  findings: readonly Finding[],
  cause?: unknown,
): Appraisal {
  const rules = new Set(findings.filter(({ ok }) => ok !== true).map(({ rule }) => rule));
  const text = rules.size === 0 ? message : `${message} Failed: ${[...rules].join(", ")}.`;
  return {
    accepted: false,
    findings,
    error: new AttestationError(code, text, { cause, findings }),
  };
}

/** `expired` if time is all that is wrong: then attesting again helps. */
function codeOf(findings: readonly Finding[]): AttestationErrorCode {
  const late = (rule: string): boolean => rule.startsWith("age.");
  return findings.every(({ ok, rule }) => ok === true || late(rule))
    ? "expired"
    : "refused-by-policy";
}

function revocationSubject(input: AppraisalInput, verified: VerifiedEvidence): RevocationSubject {
  return {
    identity: input.identity,
    measurements: hexMeasurements(verified),
    tee: verified.type,
    tcbStatus: verified.tcb.status,
  };
}
