/**
 * What every verifier must do, whatever the TEE. No test runner and nothing of Node in here: the
 * same checks run under vitest with `node:crypto` and, bundled, in a browser. A check throws if the
 * verifier breaks it.
 */
import { type Crypto, manualClock, toHex } from "@vivarium/core";
import {
  type Appraisal,
  AttestationError,
  AttestationResult,
  type Attester,
  type Collateral,
  checkPolicy,
  createAppraiser,
  decodeEvidence,
  type Evidence,
  encodeEvidence,
  type Policy,
  type PolicyRecord,
  parsePolicy,
  reportDataFor,
  type Statement,
  type VerifiedEvidence,
  type Verifier,
} from "../src/index.ts";

/** One verifier with what it takes to run it. */
export interface ContractSubject {
  readonly verifier: Verifier;
  readonly crypto: Crypto;
  /** Time of verification, milliseconds since the epoch. */
  readonly now: number;
  readonly collateral: Collateral;
  /** What the attested process says of itself. */
  readonly statement: Statement;
  /** A 64-byte binding that `attester` is able to sign. */
  readonly binding: Uint8Array;
  /** Each how many-th byte of the evidence is changed; default every one. */
  readonly flipStep?: number;
  /** The TEE knows no debug mode. */
  readonly noDebug?: true;
  attester(options?: { readonly debug: boolean }): Promise<Attester>;
}

export interface ContractCheck {
  readonly name: string;
  run(subject: ContractSubject): Promise<void>;
}

const identity = `sha256:${"1d".repeat(32)}`;

export const verifierContract: readonly ContractCheck[] = [
  {
    name: "verifies genuine evidence and answers in full",
    async run(subject) {
      const { verifier, crypto, now, binding } = subject;
      const verified = await verify(subject, await collect(subject));
      equal("type", verified.type, verifier.type);
      const expected = await reportDataFor(crypto, verifier.type, binding);
      equal("report data", toHex(verified.reportData), toHex(expected));
      equal("debug", verified.debug, false);
      check("is not past its end", verified.notAfter > now);
      check("names its root", /^sha256:[0-9a-f]{64}$/.test(verified.root));
      check(
        "has passed findings only",
        verified.findings.every(({ ok }) => ok === true),
      );
      check("has findings", verified.findings.length > 0);
      for (const [name, value] of Object.entries(verified.measurements)) {
        check(`measures ${name} in full`, [32, 48, 64].includes(value.length));
      }
    },
  },
  {
    name: "measures what its own pins demand",
    async run(subject) {
      const verified = await verify(subject, await collect(subject));
      check("demands something", subject.verifier.pins.length > 0);
      for (const alternative of subject.verifier.pins) {
        check("demands no empty alternative", alternative.length > 0);
        for (const name of alternative) check(`measures ${name}`, name in verified.measurements);
      }
    },
  },
  {
    name: "gives the same answer twice and leaves the evidence alone",
    async run(subject) {
      const evidence = await collect(subject);
      const before = toHex(encodeEvidence(evidence));
      const first = JSON.stringify(await verify(subject, evidence));
      equal("second answer", JSON.stringify(await verify(subject, evidence)), first);
      equal("evidence", toHex(encodeEvidence(evidence)), before);
    },
  },
  {
    name: "reads what has crossed the wire",
    async run(subject) {
      const evidence = decodeEvidence(encodeEvidence(await collect(subject)));
      await verify(subject, evidence);
    },
  },
  {
    name: "refuses evidence with any one byte changed",
    async run(subject) {
      const evidence = await collect(subject);
      for (let i = 0; i < evidence.bytes.length; i += subject.flipStep ?? 1) {
        const bytes = flipped(evidence.bytes, i);
        await refuses(`byte ${i} changed`, subject, { ...evidence, bytes });
      }
    },
  },
  {
    name: "refuses evidence cut short or made longer",
    async run(subject) {
      const evidence = await collect(subject);
      for (let length = 0; length < evidence.bytes.length; length += 7) {
        const bytes = evidence.bytes.slice(0, length);
        await refuses(`cut to ${length}`, subject, { ...evidence, bytes });
      }
      const longer = new Uint8Array(evidence.bytes.length + 1);
      longer.set(evidence.bytes);
      longer[evidence.bytes.length] = 1;
      await refuses("one byte longer", subject, { ...evidence, bytes: longer });
    },
  },
  {
    name: "refuses evidence of another type",
    async run(subject) {
      const evidence = await collect(subject);
      const type = subject.verifier.type === "tpm" ? "nitro" : "tpm";
      await refuses("another type", subject, { ...evidence, type });
    },
  },
  {
    name: "is accepted by a policy that pins its state, with an expiry",
    async run(subject) {
      const evidence = await collect(subject);
      const verified = await verify(subject, evidence);
      const appraisal = await appraise(subject, evidence, policyFor(verified));
      if (!appraisal.accepted) throw appraisal.error;
      check("is a result", AttestationResult.is(appraisal.result));
      check("lives", appraisal.result.expiresAt > subject.now);
      check("ends in time", appraisal.result.expiresAt <= subject.now + 60_000);
      equal("isolation", appraisal.result.isolation, verified.isolation);
    },
  },
  {
    name: "is refused under every policy that differs in one rule",
    async run(subject) {
      const evidence = await collect(subject);
      const verified = await verify(subject, evidence);
      const good = recordFor(verified);
      const other = "00".repeat(32);
      const records: [string, PolicyRecord][] = Object.keys(good.measurements).map((name) => [
        `measurement.${name}`,
        { ...good, measurements: { ...good.measurements, [name]: [other] } },
      ]);
      for (const [name, value] of Object.entries(verified.svn)) {
        const minimumSvn = { ...good.minimumSvn, [name]: value + 1 };
        records.push([`svn.${name}`, { ...good, minimumSvn }]);
      }
      records.push(["svn.absent", { ...good, minimumSvn: { absent: 0 } }]);
      records.push([
        "measurement.absent",
        { ...good, measurements: { ...good.measurements, absent: [other] } },
      ]);
      records.push(["root", { ...good, root: `sha256:${other}` }]);
      const tcb = (["UpToDate", "OutOfDate"] as const).filter((s) => s !== verified.tcb.status);
      records.push(["tcb", { ...good, tcb: tcb.slice(0, 1) }]);
      // Evidence without a date is fresh by its binding to the session only.
      const dated = verified.issuedAt !== undefined;
      const binding = dated ? "binding" : "binding,age.issued-at";
      // A policy that calls an injected key anything else is refused before any evidence is.
      if (verified.binding !== "launch-secret") {
        records.push([binding, { ...good, binding: "key-only" }]);
      } else {
        await throwsCode("invalid-policy", () => {
          policyOf({ ...good, binding: "session" });
        });
      }
      for (const [rule, record] of records) {
        await isRefused(rule, appraise(subject, evidence, policyOf(record)));
      }
      const policy = policyFor(verified, [`sha256:${other}`]);
      await isRefused("identity", appraise(subject, evidence, policy));
    },
  },
  {
    name: "is refused with any other binding, first byte to last",
    async run(subject) {
      const evidence = await collect(subject);
      const policy = policyFor(await verify(subject, evidence));
      for (const at of [0, 1, 31, 32, 62, 63]) {
        const reportData = flipped(subject.binding, at);
        await isRefused("report-data", appraise(subject, evidence, policy, { reportData }));
      }
      for (const reportData of [new Uint8Array(0), subject.binding.slice(0, 63)]) {
        const appraisal = await appraise(subject, evidence, policy, { reportData });
        check("a short binding is refused", !appraisal.accepted);
      }
    },
  },
  {
    name: "is refused after its end",
    async run(subject) {
      const evidence = await collect(subject);
      const verified = await verify(subject, evidence);
      const appraisal = await appraise(subject, evidence, policyFor(verified), {
        now: verified.notAfter,
      });
      check("refused", !appraisal.accepted);
    },
  },
  {
    name: "is refused when a debugger may look in",
    async run(subject) {
      if (subject.noDebug === true) return;
      const attester = await subject.attester({ debug: true });
      const evidence = await attester.collect(subject.binding);
      const verified = await verify(subject, evidence);
      equal("debug", verified.debug, true);
      await isRefused("debug", appraise(subject, evidence, policyFor(verified)));
    },
  },
  {
    name: "lets no policy pin too little",
    async run(subject) {
      const verified = await verify(subject, await collect(subject));
      const good = recordFor(verified);
      checkPolicy(policyOf(good), [subject.verifier]);
      // One alternative whole is enough; with a name missing from each, none is.
      const missing = subject.verifier.pins.map(([name]) => name);
      const entries = Object.entries(good.measurements).filter(([name]) => !missing.includes(name));
      const rest = Object.fromEntries([...entries, ["other", ["00".repeat(32)]]]);
      await throwsCode("invalid-policy", () =>
        checkPolicy(policyOf({ ...good, measurements: rest }), [subject.verifier]),
      );
      if (subject.verifier.needsRoot) {
        const { root: _, ...rootless } = good;
        await throwsCode("invalid-policy", () =>
          checkPolicy(policyOf(rootless), [subject.verifier]),
        );
      }
      await throwsCode("invalid-policy", () => checkPolicy(policyOf(good), []));
    },
  },
];

async function collect(subject: ContractSubject): Promise<Evidence> {
  return await (await subject.attester()).collect(subject.binding);
}

async function verify(subject: ContractSubject, evidence: Evidence): Promise<VerifiedEvidence> {
  const { verifier, crypto, now, collateral } = subject;
  return await verifier.verify(evidence, { crypto, now, collateral });
}

async function refuses(what: string, subject: ContractSubject, evidence: Evidence): Promise<void> {
  try {
    await verify(subject, evidence);
  } catch (error) {
    check(`${what}: throws an AttestationError`, error instanceof AttestationError);
    return;
  }
  throw new Error(`The verifier took evidence with ${what}.`);
}

function appraise(
  subject: ContractSubject,
  evidence: Evidence,
  policy: Policy,
  changes: { readonly now?: number; readonly reportData?: Uint8Array } = {},
): Promise<Appraisal> {
  const { verifier, crypto, collateral, statement, binding } = subject;
  const now = changes.now ?? subject.now;
  const appraiser = createAppraiser({ verifiers: [verifier], crypto, clock: manualClock(now) });
  return appraiser.appraise({
    evidence,
    collateral,
    policy,
    role: "peer",
    statement,
    identity,
    identityNotAfter: now + 3_600_000,
    reportData: changes.reportData ?? binding,
    binding: "session",
  });
}

async function isRefused(rule: string, appraisal: Promise<Appraisal>): Promise<void> {
  const { accepted, findings } = await appraisal;
  check(`${rule}: refused`, !accepted);
  const failed = findings.filter(({ ok }) => !ok).map((finding) => finding.rule);
  equal("failed rules", failed.join(), rule);
}

function recordFor(verified: VerifiedEvidence): PolicyRecord {
  const measurements = Object.entries(verified.measurements).map(([name, value]) => [
    name,
    [toHex(value)],
  ]);
  return {
    type: verified.type,
    isolation: verified.isolation,
    binding: verified.binding,
    root: verified.root,
    measurements: Object.fromEntries(measurements) as Record<string, string[]>,
    minimumSvn: verified.svn,
    tcb: [verified.tcb.status],
    ...(verified.relaxations.length > 0
      ? { allow: verified.relaxations.map(({ name }) => name) }
      : {}),
    debug: false,
    maxAgeSeconds: 60,
  };
}

function policyOf(record: PolicyRecord, identities: readonly string[] = [identity]): Policy {
  const roles = { peer: { identities, accept: [record] } };
  return parsePolicy({ version: 1, name: "contract", roles });
}

function policyFor(verified: VerifiedEvidence, identities?: readonly string[]): Policy {
  return policyOf(recordFor(verified), identities);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[at] = (copy[at] as number) ^ (1 << (at % 8));
  return copy;
}

function check(what: string, ok: boolean): void {
  if (!ok) throw new Error(`Contract broken: ${what}.`);
}

function equal(what: string, actual: unknown, expected: unknown): void {
  check(`${what} is ${String(actual)}, expected ${String(expected)}`, actual === expected);
}

async function throwsCode(code: string, run: () => void | Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    check(`code ${code}`, error instanceof AttestationError && error.code === code);
    return;
  }
  throw new Error(`Contract broken: nothing was thrown, expected ${code}.`);
}
