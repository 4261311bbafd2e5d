/**
 * The rules of an appraisal. Each is a pure function to findings, passed or failed; a rule that
 * finds nothing to compare has failed.
 */
import { equalBytes, toHex } from "@vivarium/core";
import type { Binding, EvidenceType, Finding, VerifiedEvidence } from "./evidence.ts";
import { maxClockSkewMs } from "./identity.ts";
import type { PolicyRecord, RolePolicy } from "./policy.ts";
import type { RevocationSubject, Revocations } from "./revocation.ts";
import { type Statement, type StatementDigest, statementDigests } from "./statement.ts";

function rule(name: string, ok: boolean, expected: string, actual: string): Finding {
  return { rule: name, ok, expected, actual };
}

const list = (values: readonly string[]): string => values.join(" or ");
const time = (ms: number): string => new Date(ms).toISOString();

/** The verifier's own findings, led by one that says it verified at all. */
export function genuineRules(verified: VerifiedEvidence): readonly Finding[] {
  return [
    rule("genuine", true, "verifies", `${verified.type} evidence verifies`),
    ...verified.findings,
  ];
}

/** The trust anchor, where the record names one. Simulated evidence always needs it. */
export function rootRule(record: PolicyRecord, verified: VerifiedEvidence): Finding {
  if (record.root === undefined) {
    const vendor = record.type !== "simulated";
    return rule("root", vendor, vendor ? "the vendor's root" : "a named root", verified.root);
  }
  return rule("root", verified.root === record.root, record.root, verified.root);
}

/**
 * Exact and whole: a measurement that the evidence lacks never matches. What hardware does not measure by
 * itself (the worker's code, its runtime) is taken from the statement: the report data covers it, and the
 * launcher that made it is what the record's own measurements pin.
 */
export function measurementRules(
  record: PolicyRecord,
  verified: VerifiedEvidence,
  statement: Statement | undefined,
): readonly Finding[] {
  const stated =
    statement === undefined ? [] : statementDigests.map((name) => [name, toHex(statement[name])]);
  const actual: Readonly<Record<string, string>> = {
    ...(verified.type === "simulated" ? {} : Object.fromEntries(stated)),
    ...hexMeasurements(verified),
  };
  return Object.entries(record.measurements).map(([name, allowed]) => {
    const value = Object.hasOwn(actual, name) ? actual[name] : undefined;
    const ok = value !== undefined && value !== "" && allowed.includes(value);
    return rule(`measurement.${name}`, ok, list(allowed), value ?? "absent");
  });
}

/**
 * Digests that evidence of a type measures itself; the rest of the statement is covered by the
 * report data, whose binding holds the statement's digest, and by the pinned launcher.
 */
const measuredDigests: Readonly<Partial<Record<EvidenceType, readonly StatementDigest[]>>> = {
  simulated: statementDigests,
};

/** What the peer says of itself must be what was measured. */
export function statementRules(
  statement: Statement,
  verified: VerifiedEvidence,
): readonly Finding[] {
  const required = measuredDigests[verified.type] ?? [];
  const names = statementDigests.filter(
    (name) => required.includes(name) || Object.hasOwn(verified.measurements, name),
  );
  return names.map((name) => {
    const measured = Object.hasOwn(verified.measurements, name)
      ? verified.measurements[name]
      : undefined;
    const ok = measured !== undefined && equalBytes(measured, statement[name]);
    const actual = measured === undefined ? "not measured" : toHex(measured);
    return rule(`statement.${name}`, ok, toHex(statement[name]), actual);
  });
}

/** The whole field and its length: trailing bytes are where CCZoo's key hash went unsigned. */
export function reportDataRule(expected: Uint8Array, verified: VerifiedEvidence): Finding {
  const { reportData } = verified;
  const ok = expected.length > 0 && equalBytes(expected, reportData);
  const actual = `${toHex(reportData.subarray(0, 64))} (${reportData.length} bytes)`;
  return rule("report-data", ok, `${toHex(expected)} (${expected.length} bytes)`, actual);
}

export function svnRules(record: PolicyRecord, verified: VerifiedEvidence): readonly Finding[] {
  return Object.entries(record.minimumSvn).map(([name, minimum]) => {
    const value = Object.hasOwn(verified.svn, name) ? verified.svn[name] : undefined;
    const ok = value !== undefined && value >= minimum;
    return rule(
      `svn.${name}`,
      ok,
      `at least ${minimum}`,
      value === undefined ? "absent" : `${value}`,
    );
  });
}

export function tcbRule(record: PolicyRecord, verified: VerifiedEvidence): Finding {
  const { status } = verified.tcb;
  const ok = status !== "Revoked" && record.tcb.includes(status);
  return rule("tcb", ok, list(record.tcb), status);
}

/** Absence of `allow` allows nothing: what a policy does not name, it refuses. */
export function relaxationRules(
  record: PolicyRecord,
  verified: VerifiedEvidence,
): readonly Finding[] {
  return verified.relaxations.map(({ name, expected, actual, source }) => ({
    rule: `allow.${name}`,
    ok: record.allow?.includes(name) === true,
    expected,
    actual,
    ...(source === undefined ? {} : { source }),
  }));
}

/** A switch that the evidence does not have is not as stated. */
export function attributeRules(
  record: PolicyRecord,
  verified: VerifiedEvidence,
): readonly Finding[] {
  return Object.entries(record.require ?? {}).map(([name, wanted]) => {
    const value = Object.hasOwn(verified.attributes, name) ? verified.attributes[name] : undefined;
    return rule(`require.${name}`, value === wanted, `${wanted}`, `${value ?? "absent"}`);
  });
}

export function debugRule(record: PolicyRecord, verified: VerifiedEvidence): Finding {
  const ok = record.debug === false && verified.debug === false;
  return rule("debug", ok, "no debugger", verified.debug ? "debugger allowed" : "no debugger");
}

export function isolationRule(record: PolicyRecord, verified: VerifiedEvidence): Finding {
  // Simulated evidence is simulated whatever its verifier calls it.
  const honest = (verified.type === "simulated") === (verified.isolation === "simulated");
  const ok = honest && verified.isolation === record.isolation;
  return rule("isolation", ok, record.isolation, verified.isolation);
}

/**
 * What evidence is bound to where a binding covers `covered`. SEV's own evidence has no data of the guest's: that
 * a session is signed with the key injected at launch is a weaker thing, which a policy must call by its name.
 */
export function boundAs(covered: Binding, verified: VerifiedEvidence): Binding {
  return verified.binding === "launch-secret" && covered === "session" ? "launch-secret" : covered;
}

/** The policy must ask for exactly this binding, and this evidence must be able to carry it. */
export function bindingRules(
  record: PolicyRecord,
  binding: Binding,
  verified: VerifiedEvidence,
): readonly Finding[] {
  const able =
    verified.binding === binding || (verified.binding === "session" && binding === "key-only");
  return [
    rule("binding", record.binding === binding, record.binding, binding),
    rule("binding.evidence", able, `evidence that binds ${binding}`, `binds ${verified.binding}`),
  ];
}

export function ageRules(
  record: PolicyRecord,
  verified: VerifiedEvidence,
  now: number,
): readonly Finding[] {
  const { issuedAt, notAfter } = verified;
  const end = rule("age.not-after", now < notAfter, `after ${time(now)}`, time(notAfter));
  if (issuedAt === undefined) {
    // Without a date only a binding to this very session shows that the evidence is fresh.
    const live = verified.binding === "session" || verified.binding === "launch-secret";
    const ok = live && record.binding === verified.binding;
    return [rule("age.issued-at", ok, "fresh", ok ? "bound to this session" : "no date"), end];
  }
  const age = now - issuedAt;
  const ok = age <= record.maxAgeSeconds * 1000 && age >= -maxClockSkewMs;
  const expected = `at most ${record.maxAgeSeconds} s old, not from the future`;
  return [rule("age.issued-at", ok, expected, `${Math.round(age / 1000)} s old`), end];
}

export function identityRules(
  role: RolePolicy,
  identity: string,
  notAfter: number,
  now: number,
): readonly Finding[] {
  const known = identity !== "" && role.identities.includes(identity);
  return [
    rule("identity", known, list(role.identities), identity === "" ? "none" : identity),
    rule("age.identity", now < notAfter, `after ${time(now)}`, safeTime(notAfter)),
  ];
}

export function revocationRule(
  revocations: Revocations | undefined,
  subject: RevocationSubject,
): Finding {
  if (revocations === undefined) {
    return rule("revocation", true, "not revoked", "no revocation list is configured");
  }
  const finding = revocations.check(subject);
  return finding === undefined
    ? rule("revocation", true, "not revoked", "not revoked")
    : { ...finding, ok: false };
}

function safeTime(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? time(ms) : String(ms);
}

/** Of a verifier's answer, which is frozen: rules, revocations and results all ask. */
const knownHex = new WeakMap<VerifiedEvidence, Readonly<Record<string, string>>>();

export function hexMeasurements(verified: VerifiedEvidence): Readonly<Record<string, string>> {
  const known = knownHex.get(verified);
  if (known !== undefined) return known;
  const hex = Object.fromEntries(
    Object.entries(verified.measurements).map(([name, value]) => [name, toHex(value)]),
  );
  knownHex.set(verified, Object.freeze(hex));
  return hex;
}
