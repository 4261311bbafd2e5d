/** Verifies simulated evidence. Which root counts is for the policy, which must name it. */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type {
  Claim,
  Evidence,
  Finding,
  VerifiedEvidence,
  Verifier,
  VerifyContext,
} from "../evidence.ts";
import { maxClockSkewMs } from "../identity.ts";
import { fingerprint, keyAlgorithm } from "../keys.ts";
import {
  parseToken,
  type SimulatedClaims,
  simulatedLifetimeSeconds,
  simulatedProfile,
} from "./token.ts";

/** Runs in Node and browsers. */
export function simulatedVerifier(): Verifier {
  return {
    type: "simulated",
    pins: [["code", "runtime"]],
    needsRoot: true,
    read: (evidence) => claimsOf(parseToken(evidence.bytes).claims),
    verify,
  };
}

async function verify(evidence: Evidence, context: VerifyContext): Promise<VerifiedEvidence> {
  if (evidence.type !== "simulated") {
    throw new AttestationError("unknown-type", "This verifier reads simulated evidence only.");
  }
  if (Object.keys(evidence.attachments).length > 0) {
    throw new AttestationError("malformed", "Simulated evidence has no attachments.");
  }
  const { crypto, now } = context;
  const { claims, root, signature, signed } = parseToken(evidence.bytes);
  const genuine = await crypto.verify(keyAlgorithm(root), root, signature, signed);
  if (genuine !== true) throw refused("not-genuine", "simulated.signature", "verifies", "does not");

  const rootName = await fingerprint(crypto, root);
  const issuedAt = claims.issuedAt * 1000;
  const notAfter = claims.expiresAt * 1000;
  if (claims.expiresAt - claims.issuedAt > simulatedLifetimeSeconds) {
    throw refused("malformed", "simulated.lifetime", "at most a day", "longer");
  }
  if (!(now < notAfter)) throw refused("expired", "simulated.exp", "in the future", "past");
  if (!(issuedAt <= now + maxClockSkewMs)) {
    throw refused("expired", "simulated.iat", "not from the future", "from the future");
  }
  return {
    type: "simulated",
    claims: claimsOf(claims),
    measurements: claims.measured,
    svn: { svn: claims.svn },
    tcb: { status: claims.tcb, advisories: [] },
    relaxations: [],
    attributes: {},
    debug: claims.debug,
    reportData: claims.reportData,
    issuedAt,
    notAfter,
    isolation: "simulated",
    binding: "session",
    root: rootName,
    findings: [
      passed("simulated.signature", "verifies under its root", rootName, "RFC 9052 section 4.4"),
      passed("simulated.profile", simulatedProfile, simulatedProfile, "RFC 9711 section 4.3.2"),
      passed("simulated.lifetime", "at most a day, not past", "within it", "RFC 8392 section 3.1"),
    ],
  };
}

function claimsOf(claims: SimulatedClaims): Readonly<Record<string, Claim>> {
  const hex = Object.entries(claims.measured).map(([name, digest]) => [name, toHex(digest)]);
  return {
    simulated: {
      ...(Object.fromEntries(hex) as Record<string, string>),
      profile: simulatedProfile,
      report_data: toHex(claims.reportData),
      svn: claims.svn,
      debug: claims.debug,
    },
  };
}

function passed(rule: string, expected: string, actual: string, source: string): Finding {
  return { rule, ok: true, expected, actual, source };
}

function refused(
  code: "malformed" | "not-genuine" | "expired",
  rule: string,
  expected: string,
  actual: string,
): AttestationError {
  return new AttestationError(code, `Simulated evidence fails the rule ${rule}.`, {
    findings: [{ rule, ok: false, expected, actual }],
  });
}
