/** One piece of synthetic evidence, judged. */
import type { Crypto } from "@vivarium/core";
import {
  type Assessment,
  assessEvidence,
  type Collateral,
  type Evidence,
  type Verifier,
} from "../../src/index.ts";
import { now } from "../simulated-subject.ts";

export async function judge(
  crypto: Crypto,
  verifier: Verifier,
  evidence: Evidence,
  collateral: Collateral,
  time: number = now,
): Promise<Assessment> {
  return await assessEvidence(evidence, { verifiers: [verifier], crypto, now: time, collateral });
}

/** The rule that refused it, or `accepted`. */
export function verdictOf({ findings }: Assessment): string {
  return findings.findLast(({ severity }) => severity === "error")?.rule ?? "accepted";
}

export function warningsOf({ findings }: Assessment): readonly string[] {
  return findings
    .filter(({ severity }) => severity === "warning")
    .map(({ rule }) => rule.replace("allow.", ""));
}
