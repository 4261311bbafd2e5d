/** The policy that `policy init` writes: peers in their roles, one state each, and a comment at every field. */
import type { Policy, PolicyRecord } from "@vivarium/attestation";
import { CliError } from "../errors/error.ts";
import type { Party, WorkerDigests } from "../identity/party.ts";

/** Roles of each workload that a peer may have. */
export const workloadRoles = {
  psi: ["receiver", "sender"],
  federated: ["aggregator", "participant"],
  serving: ["server", "client"],
} as const;
export type Workload = keyof typeof workloadRoles;

/** What a policy is made for. */
export interface PolicySubject {
  /** One at least. */
  readonly parties: readonly Party[];
  readonly workload: Workload;
  readonly roles: readonly string[];
}

/** How long a result lives before the peer must attest again. */
const maxAgeSeconds = 3_600;

/** @throws CliError `invalid-file` for a party file that was made without this workload's worker. */
export function digestsOf(party: Party, workload: Workload): WorkerDigests {
  const digests = party.workloads[workload];
  if (digests === undefined) {
    throw new CliError(
      "invalid-file",
      `The party file of ${party.name} names no ${workload} worker; have it exported again by a version that has one.`,
    );
  }
  return digests;
}

const nameOf = ({ parties, workload }: PolicySubject): string =>
  `${parties.map(({ name }) => name).join(", ")} for ${workload}`;

export function policyFor(subject: PolicySubject): Policy {
  const { parties, workload, roles } = subject;
  const accept = parties.map((party): PolicyRecord => {
    const { code, runtime, flags } = digestsOf(party, workload);
    return {
      type: "simulated",
      isolation: "simulated",
      binding: "session",
      root: party.attestation.root,
      measurements: { code: [code], runtime: [runtime], flags: [flags] },
      minimumSvn: { svn: 1 },
      tcb: ["UpToDate"],
      debug: false,
      maxAgeSeconds,
    };
  });
  const role = { identities: parties.map(({ identity }) => identity.fingerprint), accept };
  return {
    version: 1,
    name: nameOf(subject),
    roles: Object.fromEntries(roles.map((name) => [name, role])),
  };
}

/** The same policy as YAML with comments. Digests are quoted: one of digits only would be a number. */
export function renderPolicy(subject: PolicySubject): string {
  const names = subject.parties.map(({ name }) => name).join(", ");
  return `# What ${names} must prove before any item reaches ${subject.parties.length === 1 ? "it" : "them"}. Every field is required; a forgotten line
# is an error and never means "do not check". Check with: vivarium policy check FILE
version: 1
name: ${nameOf(subject)}
roles:
${subject.roles.map((name) => role(subject, name)).join("")}`;
}

function role({ parties, workload }: PolicySubject, name: string): string {
  return `  # When the peer is the ${name}:
  ${name}:
    # Who. Compare by voice with what each reads from \`vivarium identity show\`.
    identities:
${parties.map(({ name: party, identity }) => `      # ${party}\n      - ${identity.fingerprint}`).join("\n")}
    # What. Evidence must satisfy all of one of these records.
    accept:
${parties.map((party) => record(party, workload)).join("")}`;
}

function record(party: Party, workload: Workload): string {
  const { code, runtime, flags } = digestsOf(party, workload);
  return `        # SIMULATED: signed by ${party.name}'s development root. No hardware protects this peer from its host.
      - type: simulated
        isolation: simulated
        # Made for this very connection, so that it cannot be replayed.
        binding: session
        # The peer's development root. Compare this by voice, too.
        root: ${party.attestation.root}
        measurements:
          # The worker's code. Two clean builds of one release give the same digest.
          code:
            - "${code}"
          # The Node executable.
          runtime:
            - "${runtime}"
          # The flags that Node runs with.
          flags:
            - "${flags}"
        minimumSvn:
          svn: 1
        tcb:
          - UpToDate
        # Debug evidence is never acceptable.
        debug: false
        # The peer must attest again after this long.
        maxAgeSeconds: ${maxAgeSeconds}
`;
}
