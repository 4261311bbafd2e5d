/** What `policy init`, `check` and `explain` do. */

import { explainPolicy, policyDigest } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { appraise, findingLines, findingsJson } from "../evidence/appraisal.ts";
import { readEvidenceFile } from "../evidence/input.ts";
import { writeNew } from "../files.ts";
import { spoken } from "../identity/open.ts";
import { loadParty } from "../identity/party.ts";
import { loadPolicy } from "./load.ts";
import { digestsOf, policyFor, renderPolicy, type Workload, workloadRoles } from "./template.ts";

export interface InitOptions {
  readonly peer: readonly string[];
  readonly workload: Workload;
  readonly role?: string;
  readonly output?: string;
}

export const init: Action<InitOptions> = async (context, options) => {
  const { workload } = options;
  const known: readonly string[] = workloadRoles[workload];
  if (options.role !== undefined && !known.includes(options.role)) {
    throw new CliError("usage", `--role must be one of ${known.join(", ")} for ${workload}.`);
  }
  const roles = options.role === undefined ? known : [options.role];
  const parties = await Promise.all(options.peer.map((path) => loadParty(context.path(path))));
  const subject = { parties, workload, roles };
  const policy = policyFor(subject);
  const file = options.output === undefined ? undefined : context.path(options.output);
  const text =
    file?.endsWith(".json") === true
      ? `${JSON.stringify(policy, null, 2)}\n`
      : renderPolicy(subject);
  if (file === undefined) {
    if (context.json) context.print({ file: null, policy: policyJson(policy) }, []);
    else context.io.stdout.write(text);
    return 0;
  }
  await writeNew(file, "policy", text);
  context.print({ file, policy: policyJson(policy) }, [
    `Wrote ${file}: it accepts ${parties.map(({ name }) => name).join(", ")} as ${roles.join(" or ")}, and nobody else.`,
    "Compare with the peer by voice before you use it:",
    ...parties.flatMap((party) => [
      ...(parties.length === 1 ? [] : [`${party.name}:`]),
      "Identity:",
      ...spoken(party.identity.fingerprint).map((line) => `  ${line}`),
      "Development root (simulated: no hardware vouches for it):",
      ...spoken(party.attestation.root).map((line) => `  ${line}`),
      `Code of the ${workload} worker:`,
      ...spoken(digestsOf(party, workload).code).map((line) => `  ${line}`),
    ]),
  ]);
  return 0;
};

export const check: Action<object> = async (context, _options, file = "") => {
  const policy = await loadPolicy(context.path(file));
  const digest = toHex(await policyDigest(nodeCrypto(), policy));
  const roles = Object.keys(policy.roles);
  context.print({ file, name: policy.name, roles, digest, valid: true }, [
    `${file} is a valid policy for ${roles.join(" and ")}.`,
    `Digest ${digest}`,
  ]);
  return 0;
};

export const explain: Action<{ evidence?: string }> = async (context, options, file = "") => {
  const policy = await loadPolicy(context.path(file));
  if (options.evidence === undefined) {
    const lines = explainPolicy(policy);
    context.print({ file, policy: policyJson(policy), rules: lines }, lines);
    return 0;
  }
  const { evidence, collateral } = await readEvidenceFile(context.path(options.evidence));
  const lines: string[] = [];
  const roles: Record<string, ReturnType<typeof findingsJson>> = {};
  for (const role of Object.keys(policy.roles)) {
    const appraisal = await appraise({
      evidence,
      collateral,
      verifiers: everyVerifier(),
      policy,
      role,
      now: context.io.now(),
    });
    roles[role] = findingsJson(appraisal);
    lines.push(`As ${role}:`, ...findingLines(appraisal).map((line) => `  ${line}`));
  }
  context.print({ file, evidence: options.evidence, simulated: true, roles }, lines);
  return 0;
};

/** A policy is plain data; its type only lacks the index signature of JSON. */
function policyJson(policy: object): Readonly<Record<string, never>> {
  return JSON.parse(JSON.stringify(policy)) as Readonly<Record<string, never>>;
}
