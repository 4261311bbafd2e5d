/**
 * The course of one verification: rules passed so far, and what a strict policy must allow. A rule
 * that fails ends it at once with all findings, so that nothing later can make up for it.
 */
import { AttestationError, type AttestationErrorCode } from "./errors.ts";
import type { Finding, Relaxation } from "./evidence.ts";

export interface Examination {
  /** All passed, in order. */
  readonly findings: readonly Finding[];
  readonly relaxations: readonly Relaxation[];
  /**
   * Notes a rule that passed. @param source clause of the specification.
   * @throws AttestationError with `code` (default `not-genuine`) and all findings if it failed.
   */
  require(
    rule: string,
    ok: boolean,
    expected: string,
    actual: string,
    source?: string,
    code?: AttestationErrorCode,
  ): void;
  /** Notes what a policy must name in `allow`. */
  relax(name: string, expected: string, actual: string, source?: string): void;
}

/** @param what names the evidence in messages, such as `SEV-SNP report`. */
export function examine(what: string): Examination {
  const findings: Finding[] = [];
  const relaxations: Relaxation[] = [];
  return {
    findings,
    relaxations,
    require(rule, ok, expected, actual, source, code = "not-genuine") {
      // Exactly true: a truthy answer is not a passed rule.
      const finding: Finding = {
        rule,
        ok: ok === true,
        expected,
        actual,
        ...(source === undefined ? {} : { source }),
      };
      findings.push(finding);
      if (finding.ok) return;
      const message = `${what} fails the rule ${rule}: expected ${expected}, got ${actual}.`;
      throw new AttestationError(code, message, { findings: [...findings] });
    },
    relax(name, expected, actual, source) {
      relaxations.push({ name, expected, actual, ...(source === undefined ? {} : { source }) });
    },
  };
}
