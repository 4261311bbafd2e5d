/** What `evidence verify` does: by a policy, or by the strict default where none is given. */

import {
  type AssessedFinding,
  type Assessment,
  assessEvidence,
  type Collateral,
  type Verifier,
} from "@vivarium/attestation";
import { raTlsVerifiers } from "@vivarium/attestation/ra-tls";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context, Json } from "../command.ts";
import type { ExitCode } from "../errors/entry.ts";
import { CliError } from "../errors/error.ts";
import { loadPolicy } from "../policy/load.ts";
import { anchorsOf } from "./anchors.ts";
import { appraise, findingLines, findingsJson } from "./appraisal.ts";
import {
  evidenceTypeOf,
  readCollateralFiles,
  readEvidenceFile,
  reportDataOf,
  timeOf,
} from "./input.ts";
import { summaryLines } from "./summary.ts";
import { readTokenFile, verifyTokenFile } from "./token.ts";

export interface VerifyOptions {
  readonly type?: string;
  readonly collateral?: readonly string[];
  readonly policy?: string;
  readonly role?: string;
  readonly at?: string;
  readonly reportData?: string;
  readonly root?: string;
  readonly strict?: true;
  /** Of tokens only. */
  readonly issuer?: string;
  readonly nonce?: string;
  readonly audience?: string;
}

/** What is judged, by whatever. */
interface Case {
  readonly file: string;
  readonly read: Awaited<ReturnType<typeof readEvidenceFile>>;
  readonly collateral: Collateral;
  readonly verifiers: readonly Verifier[];
  readonly now: number;
  readonly reportData: Uint8Array | undefined;
  readonly labels: readonly string[];
}

const simulatedLabel = "SIMULATED evidence: no hardware vouches for any of this.";

export const verify: Action<VerifyOptions> = async (context, options, file = "") => {
  const type = evidenceTypeOf(options.type);
  const token = await readTokenFile(context.path(file));
  if (token !== undefined) return await verifyTokenFile(context, options, file, token);
  for (const name of ["issuer", "nonce", "audience"] as const) {
    if (options[name] !== undefined) throw new CliError("usage", `--${name} is for tokens only.`);
  }
  const now = timeOf(options.at, context.io.now());
  const reportData = reportDataOf(options.reportData);
  const read = await readEvidenceFile(context.path(file), type);
  const given = await readCollateralFiles((options.collateral ?? []).map(context.path));
  const anchors =
    options.root === undefined ? undefined : await anchorsOf(context.path(options.root));
  const plain = everyVerifier(anchors);
  const subject: Case = {
    file,
    read,
    // What the user names counts before what came with the evidence.
    collateral: { ...read.collateral, ...given },
    verifiers:
      read.certificate === undefined ? plain : raTlsVerifiers(read.certificate, plain, true),
    now,
    reportData,
    labels: [
      ...(read.evidence.type === "simulated" ? [simulatedLabel] : []),
      ...(anchors === undefined
        ? []
        : ["NOT the vendor's root: what --root names is trusted instead."]),
    ],
  };
  if (options.policy === undefined) {
    if (options.role !== undefined) throw new CliError("usage", "--role needs --policy.");
    return await byDefault(context, subject, options.strict === true);
  }
  return await byPolicy(context, subject, context.path(options.policy), options.role);
};

async function byPolicy(
  context: Context,
  subject: Case,
  path: string,
  role: string | undefined,
): Promise<ExitCode> {
  const policy = await loadPolicy(path);
  const roles = Object.keys(policy.roles);
  if (role === undefined || !Object.hasOwn(policy.roles, role)) {
    throw new CliError("usage", `--role must name a role of the policy: ${roles.join(", ")}.`);
  }
  const { file, read, collateral, verifiers, now, reportData, labels } = subject;
  const assessment = await assess(subject, false);
  const appraisal = await appraise({
    evidence: read.evidence,
    collateral,
    verifiers,
    policy,
    role,
    now,
    ...(reportData === undefined ? {} : { reportData }),
    binding: read.certificate === undefined ? "session" : "key-only",
  });
  const value = {
    ...documentOf(file, subject, assessment),
    role,
    ...findingsJson(appraisal),
  };
  context.print(value, [
    ...labels,
    ...summaryLines(read, assessment),
    ...findingLines(appraisal),
    appraisal.accepted
      ? "ACCEPTED. Identity and statement (-) are proven in the handshake of a channel only."
      : "REFUSED by the rules marked FAIL.",
  ]);
  return appraisal.accepted ? 0 : 3;
}

async function byDefault(context: Context, subject: Case, strict: boolean): Promise<ExitCode> {
  const { file, read, labels } = subject;
  const assessment = await assess(subject, strict);
  const value = {
    ...documentOf(file, subject, assessment),
    findings: assessment.findings.map(jsonOf),
  };
  const warnings = assessment.findings.some(({ severity }) => severity === "warning");
  context.print(value, [
    ...labels,
    ...summaryLines(read, assessment),
    ...linesOf(assessment.findings),
    assessment.accepted
      ? `ACCEPTED as genuine and up to date${warnings ? "; a policy must allow what is marked WARN" : ""}. Without a policy, whose code it is was not judged.`
      : "REFUSED by the rules marked FAIL.",
  ]);
  return assessment.accepted ? 0 : 3;
}

async function assess(subject: Case, strict: boolean): Promise<Assessment> {
  const { read, collateral, verifiers, now, reportData } = subject;
  return await assessEvidence(read.evidence, {
    verifiers,
    crypto: nodeCrypto(),
    now,
    collateral,
    strict,
    ...(reportData === undefined ? {} : { reportData }),
  });
}

function documentOf(
  file: string,
  { read, now }: Case,
  assessment: Assessment,
): Readonly<Record<string, Json>> {
  return {
    file,
    form: read.form,
    type: assessment.tee,
    tee: assessment.tee,
    simulated: assessment.tee === "simulated",
    at: new Date(now).toISOString(),
    accepted: assessment.accepted,
    tcbStatus: assessment.tcbStatus,
    claims: assessment.claims,
    ear: assessment.ear,
  };
}

function jsonOf(finding: AssessedFinding): Readonly<Record<string, Json>> {
  const { rule, severity, expected, actual, source } = finding;
  const verdicts = { error: "fail", warning: "warn", info: "pass" } as const;
  return { verdict: verdicts[severity], severity, rule, expected, actual, source: source ?? null };
}

/** A table: what failed first, then warnings. */
function linesOf(findings: readonly AssessedFinding[]): readonly string[] {
  const width = Math.max(...findings.map(({ rule }) => rule.length), 4);
  const marks = { error: "FAIL", warning: "WARN", info: "ok" } as const;
  const order = { error: 0, warning: 1, info: 2 } as const;
  return [...findings]
    .sort((a, b) => order[a.severity] - order[b.severity])
    .map(({ severity, rule, expected, actual, source }) => {
      const clause = source === undefined ? "" : ` (${source})`;
      return `${marks[severity].padEnd(4)}  ${rule.padEnd(width)}  expected ${expected}; actual ${actual}${clause}`;
    });
}
