/**
 * Evidence from a file against a policy. A file can show less than a channel: who sent it and what
 * statement it belongs to are proven in the handshake only, so these rules are listed as not
 * checked, and no `AttestationResult` leaves this module.
 */
import {
  type Appraisal,
  type Binding,
  type Collateral,
  createAppraiser,
  type Evidence,
  type Finding,
  type Policy,
  type Statement,
  statementDigests,
  type VerifiedEvidence,
  type Verifier,
} from "@vivarium/attestation";
import type { Clock } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";

export interface FileAppraisalInput {
  readonly evidence: Evidence;
  readonly collateral: Collateral;
  readonly verifiers: readonly Verifier[];
  readonly policy: Policy;
  /** Role of whoever made the evidence. */
  readonly role: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** 64 bytes that the evidence must carry; if absent, that rule is not checked. */
  readonly reportData?: Uint8Array;
  /** What the evidence came in: a certificate binds a key, and no session. */
  readonly binding?: Binding;
}

/** `unchecked`: a file cannot prove it, or nothing was given to compare with. */
export type Verdict = "pass" | "fail" | "unchecked";

export interface FileFinding extends Omit<Finding, "ok"> {
  readonly verdict: Verdict;
}

export interface FileAppraisal {
  /** No rule that was checked has failed. */
  readonly accepted: boolean;
  readonly findings: readonly FileFinding[];
}

/** Rules whose other side only a handshake has. */
function needsHandshake(rule: string): boolean {
  return rule === "identity" || rule === "age.identity" || rule.startsWith("statement.");
}

export async function appraise(input: FileAppraisalInput): Promise<FileAppraisal> {
  const { evidence, role, now } = input;
  const { policy, stated } = split(input.policy, role);
  const crypto = nodeCrypto();
  const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => {} };
  const verified = await tryVerify(input);
  const [identity = ""] = Object.hasOwn(policy.roles, role)
    ? (policy.roles[role]?.identities ?? [])
    : [];
  const appraisal: Appraisal = await createAppraiser({
    verifiers: input.verifiers,
    crypto,
    clock,
  }).appraise({
    evidence,
    collateral: input.collateral,
    policy,
    role,
    statement: statementOf(verified),
    identity,
    identityNotAfter: now + 1,
    reportData: input.reportData ?? fullLength(verified?.reportData),
    binding: input.binding ?? "session",
  });
  const findings = appraisal.findings.map((finding): FileFinding => {
    const { ok, ...rest } = finding;
    if (needsHandshake(finding.rule)) {
      return { ...rest, actual: "proven in the handshake only", verdict: "unchecked" };
    }
    if (finding.rule === "report-data" && input.reportData === undefined) {
      return { ...rest, expected: "the session's binding", verdict: "unchecked" };
    }
    return { ...rest, verdict: ok === true ? "pass" : "fail" };
  });
  const ofType = stated.filter(({ type }) => type === evidence.type);
  // The appraiser decides; what it let pass can only become stricter here.
  const accepted = appraisal.accepted && findings.every(({ verdict }) => verdict !== "fail");
  return { accepted, findings: [...findings, ...ofType.map(({ finding }) => finding)] };
}

interface Stated {
  readonly type: Evidence["type"];
  readonly finding: FileFinding;
}

/** The policy without what hardware does not measure itself: a statement comes with a handshake only. */
function split(policy: Policy, role: string): { policy: Policy; stated: readonly Stated[] } {
  const stated: Stated[] = [];
  const own = (name: string): boolean => !statementDigests.some((digest) => digest === name);
  const accept = (policy.roles[role]?.accept ?? []).map((record, index) => {
    if (record.type === "simulated") return record;
    const entries = Object.entries(record.measurements);
    for (const [name, allowed] of entries) {
      if (own(name)) continue;
      const rule = `measurement.${name}`;
      const actual = "proven in the handshake only";
      const expected = allowed.join(" or ");
      stated.push({
        type: record.type,
        finding: { rule, expected, actual, record: index, verdict: "unchecked" },
      });
    }
    return { ...record, measurements: Object.fromEntries(entries.filter(([name]) => own(name))) };
  });
  const found = Object.hasOwn(policy.roles, role) ? policy.roles[role] : undefined;
  if (found === undefined) return { policy, stated };
  return {
    policy: { ...policy, roles: { ...policy.roles, [role]: { ...found, accept } } },
    stated,
  };
}

/** Undefined for evidence that does not verify: the appraiser then says why. */
async function tryVerify(input: FileAppraisalInput): Promise<VerifiedEvidence | undefined> {
  const { evidence, verifiers, collateral, now } = input;
  try {
    const verifier = verifiers.find(({ type }) => type === evidence.type);
    return await verifier?.verify(evidence, { crypto: nodeCrypto(), now, collateral });
  } catch {
    return undefined;
  }
}

/** What the evidence measured, with keys of nobody: the handshake brings the real ones. */
function statementOf(verified: VerifiedEvidence | undefined): Statement {
  const digest = (name: string): Uint8Array => verified?.measurements[name] ?? new Uint8Array(32);
  const none = new Uint8Array(32);
  return {
    runtime: digest("runtime"),
    flags: digest("flags"),
    code: digest("code"),
    policy: digest("policy"),
    config: digest("config"),
    keys: { tls: none, signing: none, hpke: none, receipt: none },
  };
}

function fullLength(reportData: Uint8Array | undefined): Uint8Array {
  return reportData?.length === 64 ? reportData : new Uint8Array(64);
}

const marks: Readonly<Record<Verdict, string>> = { pass: "ok", fail: "FAIL", unchecked: "-" };

/** A table: verdict, rule, what was expected, what came; failed rules first. */
export function findingLines({ findings }: FileAppraisal): readonly string[] {
  const width = Math.max(...findings.map(({ rule }) => rule.length), 4);
  const order: Readonly<Record<Verdict, number>> = { fail: 0, pass: 1, unchecked: 2 };
  return [...findings]
    .sort((a, b) => order[a.verdict] - order[b.verdict])
    .map(({ verdict, rule, expected, actual, record }) => {
      const where = record === undefined ? "" : ` [record ${record}]`;
      return `${marks[verdict].padEnd(4)}  ${rule.padEnd(width)}  expected ${expected}; actual ${actual}${where}`;
    });
}

export function findingsJson(appraisal: FileAppraisal): {
  readonly accepted: boolean;
  readonly findings: readonly {
    readonly verdict: Verdict;
    readonly rule: string;
    readonly expected: string;
    readonly actual: string;
    readonly record: number | null;
  }[];
} {
  return {
    accepted: appraisal.accepted,
    findings: appraisal.findings.map(({ verdict, rule, expected, actual, record }) => ({
      verdict,
      rule,
      expected,
      actual,
      record: record ?? null,
    })),
  };
}
