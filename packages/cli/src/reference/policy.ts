/** What `reference policy` does: a policy whose records are references. */
import { AttestationError, checkPolicy, parsePolicy } from "@vivarium/attestation";
import { policyRecordOf, type ReferenceRecord } from "@vivarium/attestation/reference";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { writeNew } from "../files.ts";
import { readReferences } from "./files.ts";

export interface PolicyOptions {
  readonly identity: readonly string[];
  readonly role: readonly string[];
  readonly root?: string;
  readonly maxAge?: string;
  readonly output: string;
}

export const policy: Action<PolicyOptions> = async (context, options, ...files) => {
  const { identity, role, root, maxAge = "3600" } = options;
  if (!/^\d{1,5}$/.test(maxAge)) throw new CliError("usage", "--max-age must be seconds.");
  const references: ReferenceRecord[] = [];
  for (const file of files) references.push(...(await readReferences(context.path(file))));
  const accept = references.map((reference) =>
    policyRecordOf(
      root !== undefined && reference.root === undefined ? { ...reference, root } : reference,
      { now: context.io.now(), maxAgeSeconds: Number(maxAge) },
    ),
  );
  const names = references.map(({ name }) => name).join(", ");
  const document = {
    version: 1,
    name: names.slice(0, 200),
    roles: Object.fromEntries(role.map((each) => [each, { identities: identity, accept }])),
  };
  const made = checked(document);
  const path = context.path(options.output);
  await writeNew(path, "policy", `${JSON.stringify(made, null, 2)}\n`);
  const count = accept.length;
  context.print({ file: path, references: references.map(({ name }) => name), roles: role }, [
    `Wrote ${path}: it accepts ${identity.length === 1 ? "one party" : `${identity.length} parties`} as ${role.join(" or ")}, in ${count === 1 ? "one state" : `${count} states`}:`,
    ...references.map(({ name, type, origin }) => `  ${name} (${type}, ${origin.how})`),
  ]);
  return 0;
};

/** What the command made must be a policy that can be applied, or its options were wrong. */
function checked(document: unknown): ReturnType<typeof parsePolicy> {
  try {
    const made = parsePolicy(document);
    checkPolicy(made, everyVerifier());
    return made;
  } catch (cause) {
    if (!(cause instanceof AttestationError && cause.code === "invalid-policy")) throw cause;
    const problems = cause.findings.map(({ actual }) => actual).slice(0, 5);
    throw new CliError("usage", `No policy can be made of this: ${problems.join("; ")}.`, {
      cause,
    });
  }
}
