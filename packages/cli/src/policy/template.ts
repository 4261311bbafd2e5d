/** The policy that `policy init` writes: one peer, one state, and a comment at every field. */
import type { Policy, PolicyRecord } from "@vivarium/attestation";
import type { Party } from "../identity/party.ts";

export const psiRoles = ["receiver", "sender"] as const;
export type PsiRole = (typeof psiRoles)[number];

/** How long a result lives before the peer must attest again. */
const maxAgeSeconds = 3_600;

export function policyFor(party: Party, roles: readonly PsiRole[]): Policy {
  const { code, runtime, flags } = party.workloads.psi;
  const record: PolicyRecord = {
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
  const role = { identities: [party.identity.fingerprint], accept: [record] };
  return {
    version: 1,
    name: `${party.name} for psi`,
    roles: Object.fromEntries(roles.map((name) => [name, role])),
  };
}

/** The same policy as YAML with comments. Digests are quoted: one of digits only would be a number. */
export function renderPolicy(party: Party, roles: readonly PsiRole[]): string {
  return `# What ${party.name} must prove before any item reaches it. Every field is required; a forgotten line
# is an error and never means "do not check". Check with: vivarium policy check FILE
version: 1
name: ${party.name} for psi
roles:
${roles.map((name) => role(party, name)).join("")}`;
}

function role(party: Party, name: PsiRole): string {
  const { code, runtime, flags } = party.workloads.psi;
  return `  # When the peer is the ${name}:
  ${name}:
    # Who. Compare by voice with what ${party.name} reads from \`vivarium identity show\`.
    identities:
      - ${party.identity.fingerprint}
    # What. Evidence must satisfy all of one of these records.
    accept:
        # SIMULATED: signed by a development root. No hardware protects this peer from its host.
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
