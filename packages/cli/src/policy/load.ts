/** Policy files: YAML or JSON, with line, column and field in the message. */

import { AttestationError, checkPolicy, type Policy, parsePolicy } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { pathOf } from "../config/validate.ts";
import { loadYaml, type Problem, problemsError } from "../config/yaml.ts";

/**
 * A policy that this version can apply: its form, contradictions, and that every record pins what
 * its verifier demands.
 * @throws CliError `invalid-config`, listing the problems with line, column and field.
 */
export async function loadPolicy(path: string): Promise<Policy> {
  const source = await loadYaml(path, "policy");
  try {
    const policy = parsePolicy(source.value);
    checkPolicy(policy, everyVerifier());
    return policy;
  } catch (cause) {
    if (!(cause instanceof AttestationError && cause.code === "invalid-policy")) throw cause;
    const problems = cause.findings.map(({ actual }) => problemOf(source.value, actual));
    throw problems.length > 0 ? problemsError(source, problems) : cause;
  }
}

/** `/roles/sender/accept/0/root: required …` as a place in the document. */
function problemOf(document: unknown, text: string): Problem {
  const [, pointer = "", message = text] = /^(\/[^:]*): ([\s\S]*)$/.exec(text) ?? [];
  return { path: pointer === "/" ? [] : pathOf(document, pointer), message };
}
