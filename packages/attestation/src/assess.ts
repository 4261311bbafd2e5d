/**
 * Evidence judged without a policy: is it genuine, and does it meet the strict default? For people
 * and tools that look at one piece of evidence. It makes no {@link AttestationResult}: nothing here
 * opens a channel or releases a key.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { AttestationError } from "./errors.ts";
import type {
  Claim,
  Collateral,
  Evidence,
  EvidenceType,
  Finding,
  TcbStatus,
  VerifiedEvidence,
  Verifier,
} from "./evidence.ts";
import { requireVerified } from "./verified.ts";

/** `error`: refused for it. `warning`: a policy would have to name it. `info`: passed. */
export type Severity = "error" | "warning" | "info";

export interface AssessedFinding extends Finding {
  readonly severity: Severity;
}

export interface AssessOptions {
  readonly verifiers: readonly Verifier[];
  readonly crypto: Crypto;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly collateral: Collateral;
  /** What the report data must be; shorter than the field, it must be followed by zeros. */
  readonly reportData?: Uint8Array;
  /** Refuse also what a policy could allow by name. Default false: it is a warning. */
  readonly strict?: boolean;
}

export interface Assessment {
  readonly tee: EvidenceType;
  /** Genuine, current, up to date, without a debugger, and with the report data if one was given. */
  readonly accepted: boolean;
  /** Null if the evidence did not get as far. */
  readonly tcbStatus: TcbStatus | null;
  /** What the evidence says; of refused evidence nothing of it is established. */
  readonly claims: Readonly<Record<string, Claim>>;
  readonly findings: readonly AssessedFinding[];
  readonly verified: VerifiedEvidence | undefined;
  /** Claims set of draft-ietf-rats-ear, not signed: a file has no holder to bind a token to. */
  readonly ear: { readonly [name: string]: Claim };
}

/** Never throws for bad evidence: that is a refusal with its findings. */
export async function assessEvidence(
  evidence: Evidence,
  options: AssessOptions,
): Promise<Assessment> {
  const verifier = options.verifiers.find(({ type }) => type === evidence.type);
  if (verifier === undefined) {
    const message = `No verifier is registered for evidence of type ${evidence.type}.`;
    throw new AttestationError("unknown-type", message);
  }
  let verified: VerifiedEvidence | undefined;
  let findings: readonly AssessedFinding[];
  try {
    const { crypto, now, collateral } = options;
    const answer = await verifier.verify(evidence, { crypto, now, collateral });
    verified = requireVerified(evidence.type, answer);
    findings = judge(verified, options);
  } catch (error) {
    // Whatever a verifier does with hostile bytes, it is a refusal and not a fault of the caller's.
    const refusal =
      error instanceof AttestationError
        ? error
        : new AttestationError("not-genuine", "The verifier failed.", { cause: error });
    findings = refusalOf(refusal);
  }
  const accepted = verified !== undefined && findings.every(({ severity }) => severity !== "error");
  return {
    tee: evidence.type,
    accepted,
    tcbStatus: verified?.tcb.status ?? null,
    claims: verified?.claims ?? readClaims(verifier, evidence),
    findings,
    verified,
    ear: earOf(evidence.type, accepted, verified, options.now),
  };
}

/** A verifier's own failed rule is the last of its findings. */
function refusalOf(error: AttestationError): readonly AssessedFinding[] {
  const findings = error.findings.map((finding) => graded(finding, finding.ok ? "info" : "error"));
  if (findings.some(({ severity }) => severity === "error")) return findings;
  const finding = {
    rule: error.code,
    ok: false,
    expected: "evidence that verifies",
    actual: error.message,
  };
  return [...findings, graded(finding, "error")];
}

function readClaims(verifier: Verifier, evidence: Evidence): Readonly<Record<string, Claim>> {
  try {
    return verifier.read(evidence);
  } catch {
    return {};
  }
}

function judge(verified: VerifiedEvidence, options: AssessOptions): readonly AssessedFinding[] {
  const { now, strict = false, reportData } = options;
  const { status, advisories } = verified.tcb;
  const check = (rule: string, ok: boolean, expected: string, actual: string): AssessedFinding =>
    graded({ rule, ok, expected, actual }, ok ? "info" : "error");
  const shown = advisories.length === 0 ? status : `${status} (${advisories.join(", ")})`;
  return [
    ...verified.findings.map((finding) => graded(finding, "info")),
    // Whoever holds a development root can attest to anything: only a policy can name one.
    ...(verified.isolation === "simulated"
      ? [check("root", false, "a policy that names the development root", verified.root)]
      : []),
    check("tcb", status === "UpToDate", "UpToDate", shown),
    check(
      "debug",
      !verified.debug,
      "no debugger",
      verified.debug ? "debugger allowed" : "no debugger",
    ),
    check(
      "age.not-after",
      now < verified.notAfter,
      `after ${new Date(now).toISOString()}`,
      new Date(verified.notAfter).toISOString(),
    ),
    ...verified.relaxations.map(({ name, ...rest }) =>
      graded({ rule: `allow.${name}`, ok: false, ...rest }, strict ? "error" : "warning"),
    ),
    ...(reportData === undefined ? [] : [reportDataCheck(check, reportData, verified.reportData)]),
  ];
}

function reportDataCheck(
  check: (rule: string, ok: boolean, expected: string, actual: string) => AssessedFinding,
  wanted: Uint8Array,
  actual: Uint8Array,
): AssessedFinding {
  const padded = new Uint8Array(Math.max(wanted.length, actual.length));
  padded.set(wanted);
  const ok = wanted.length > 0 && equalBytes(padded, actual);
  return check("report-data", ok, toHex(padded), `${toHex(actual)} (${actual.length} bytes)`);
}

function graded(finding: Finding, severity: Severity): AssessedFinding {
  return { ...finding, severity };
}

/** AR4SI trustworthiness: 2 affirming, 32 and 36 warnings, 96 and up contraindicated. */
function earOf(
  type: EvidenceType,
  accepted: boolean,
  verified: VerifiedEvidence | undefined,
  now: number,
): { readonly [name: string]: Claim } {
  const vector =
    verified === undefined
      ? { "instance-identity": 97, hardware: 97 }
      : {
          "instance-identity": 2,
          hardware:
            verified.tcb.status === "UpToDate" ? 2 : verified.tcb.status === "Revoked" ? 96 : 32,
          configuration: verified.debug ? 96 : verified.relaxations.length > 0 ? 36 : 3,
        };
  const worst = Math.max(...Object.values(vector));
  const status =
    worst >= 96 ? "contraindicated" : worst >= 32 || !accepted ? "warning" : "affirming";
  return {
    eat_profile: "tag:github.com,2026:vivarium/ear-unsigned#1",
    iat: Math.floor(now / 1000),
    "ear.verifier-id": { developer: "vivarium", build: "assess" },
    submods: {
      cpu0: {
        "ear.status": status,
        "ear.trustworthiness-vector": vector,
        "ear.veraison.annotated-evidence": verified?.claims ?? {},
        "ear.vivarium.tee": type,
        "ear.vivarium.tcb": verified?.tcb.status ?? null,
      },
    },
  };
}
