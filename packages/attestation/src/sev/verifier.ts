/**
 * Verifies evidence of SEV and SEV-ES. The hardware's part was checked by the guest's owner before he gave the
 * key away, so that his key is the trust anchor, which a policy must name; what is bound to a session is that
 * key (`binding: launch-secret`).
 */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { examine } from "../examination.ts";
import { maxClockSkewMs } from "../identity.ts";
import { fingerprint, keyAlgorithm } from "../keys.ts";
import { parseSevEvidence, type SevEvidence } from "./evidence.ts";
import { type SevLaunchStatement, sevLaunchVerifies } from "./launch.ts";
import { type SevType, sevPolicy, sevTypeOf } from "./policy.ts";

const source = "AMD 55766 sections 3 and 6.6";

/** Runs in Node and browsers. */
export function sevVerifier(type: SevType): Verifier {
  return {
    type,
    pins: [["measurement"]],
    needsRoot: true,
    read: (evidence) => ({ [type]: claimsOf(evidenceOf(type, evidence)) }),
    verify: (evidence, context) => verify(type, evidence, context),
  };
}

async function verify(
  type: SevType,
  given: Evidence,
  { crypto, now }: VerifyContext,
): Promise<VerifiedEvidence> {
  const evidence = evidenceOf(type, given);
  const { launch, reportData, signed, signature } = evidence;
  const { statement } = launch;
  const exam = examine("SEV evidence");
  const actualType = sevTypeOf(statement.policy);
  exam.require("sev.policy-es", actualType === type, type, actualType, source, "malformed");
  const root = await fingerprint(crypto, statement.owner);
  const owner = await sevLaunchVerifies(crypto, launch);
  exam.require("sev.owner-signature", owner, `signed by ${root}`, verdict(owner), source);
  const { key, notBefore, notAfter } = statement;
  const guest = (await crypto.verify(keyAlgorithm(key), key, signature, signed)) === true;
  exam.require("sev.guest-signature", guest, "signed by the injected key", verdict(guest), source);
  const current = now < notAfter && now >= notBefore - maxClockSkewMs;
  const window = `${time(notBefore)} to ${time(notAfter)}`;
  exam.require("sev.window", current, window, time(now), undefined, "expired");
  relaxPolicy(exam.relax, type, statement.policy);
  return {
    type,
    claims: { [type]: claimsOf(evidence) },
    measurements: {
      measurement: statement.measurement,
      platform_root: statement.platformRoot,
      platform_owner: statement.platformOwner,
    },
    svn: { firmware: firmwareOf(statement) },
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: switchesOf(statement.policy),
    debug: !bit(statement.policy, sevPolicy.noDebug),
    reportData,
    issuedAt: undefined,
    notAfter,
    isolation: "tee",
    binding: "launch-secret",
    root,
    findings: exam.findings,
  };
}

function evidenceOf(type: SevType, { type: actual, bytes, attachments }: Evidence): SevEvidence {
  if (actual !== type) {
    throw new AttestationError("unknown-type", `This verifier reads evidence of ${type} only.`);
  }
  if (Object.keys(attachments).length > 0) {
    throw new AttestationError("malformed", "SEV evidence has no attachments.");
  }
  return parseSevEvidence(bytes);
}

/** What lets somebody else at the guest's memory or registers. */
function relaxPolicy(
  relax: (name: string, expected: string, actual: string, source?: string) => void,
  type: SevType,
  policy: number,
): void {
  if (type === "sev") {
    const expected = "registers encrypted when the guest stops (ES)";
    relax("sev.registers-in-clear", expected, "in clear", source);
  }
  if (!bit(policy, sevPolicy.noKeySharing)) {
    relax("sev.key-sharing", "no key shared with another guest (NOKS)", "allowed", source);
  }
  if (!bit(policy, sevPolicy.noSend)) {
    relax("sev.migratable", "no migration (NOSEND)", "allowed", source);
  }
}

/** One number that rises with every release: API major, minor, build. */
function firmwareOf({ apiMajor, apiMinor, build }: SevLaunchStatement): number {
  return apiMajor * 65_536 + apiMinor * 256 + build;
}

function switchesOf(policy: number): Readonly<Record<string, boolean>> {
  return {
    no_debug: bit(policy, sevPolicy.noDebug),
    no_key_sharing: bit(policy, sevPolicy.noKeySharing),
    es: bit(policy, sevPolicy.es),
    no_send: bit(policy, sevPolicy.noSend),
    domain: bit(policy, sevPolicy.domain),
    sev: bit(policy, sevPolicy.sev),
  };
}

function claimsOf({ launch, reportData }: SevEvidence): Readonly<Record<string, Claim>> {
  const { statement } = launch;
  return {
    measurement: toHex(statement.measurement),
    policy: `0x${statement.policy.toString(16)}`,
    ...switchesOf(statement.policy),
    api_major: statement.apiMajor,
    api_minor: statement.apiMinor,
    build: statement.build,
    platform_root: toHex(statement.platformRoot),
    platform_owner: toHex(statement.platformOwner),
    launched: time(statement.notBefore),
    report_data: toHex(reportData),
  };
}

const bit = (policy: number, mask: number): boolean => (policy & mask) !== 0;
const verdict = (ok: boolean): string => (ok ? "verifies" : "does not verify");
/** Numbers of a statement may be beyond what a date can show. */
const time = (ms: number): string => (ms <= 8.64e15 ? new Date(ms).toISOString() : `${ms}`);
