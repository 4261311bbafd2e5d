/** Policy files, YAML or JSON. */
import { checkPolicy, type Policy, parsePolicy } from "@vivarium/attestation";
import { simulatedVerifier } from "@vivarium/attestation/simulated";
import { loadYaml } from "../config/yaml.ts";

/**
 * A policy that this version can apply.
 * @throws CliError `invalid-config` for syntax; AttestationError `invalid-policy` for content.
 */
export async function loadPolicy(path: string): Promise<Policy> {
  const source = await loadYaml(path, "policy");
  const policy = parsePolicy(source.value);
  checkPolicy(policy, [simulatedVerifier()]);
  return policy;
}
