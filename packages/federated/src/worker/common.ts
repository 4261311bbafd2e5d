/** What both roles share: an endpoint by the domain's policy, and the key of the sealed state. */
import { join } from "node:path";
import { createAppraiser } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { createEndpoint, type Endpoint, type SessionRegistry } from "@vivarium/channel";
import { fileCounter, Secret, secretKeyWrapper } from "@vivarium/seal";
import type { TrustDomain } from "@vivarium/workers";
import { FederatedError } from "../errors.ts";
import { type SealedState, sealedState } from "../memory.ts";
import type { FederatedWorkerConfig } from "./config.ts";

export function endpointOf(
  domain: TrustDomain,
  role: "aggregator" | "participant",
  sessions: SessionRegistry,
  { collateral }: FederatedWorkerConfig,
): Endpoint {
  const { crypto, clock, random, log, policy, statement, attester, workload } = domain;
  return createEndpoint({
    mode: "mutual",
    role,
    peerRole: role === "aggregator" ? "participant" : "aggregator",
    ...{ workload, statement, attester, policy, crypto, clock, random, log, sessions },
    identity: { delegation: () => domain.delegation(), signer: domain.signer },
    appraiser: createAppraiser({ verifiers: everyVerifier(), crypto, clock }),
    ...(collateral === undefined ? {} : { collateral }),
  });
}

/**
 * Opens a sealed state by name under the key that the launcher sends first.
 * @throws FederatedError `invalid-argument` if it sends something else.
 */
export async function stateOpener(
  domain: TrustDomain,
  directory: string,
): Promise<(name: string) => SealedState> {
  let key: unknown;
  for await (const message of domain.messages) {
    key = message;
    break;
  }
  if (!(key instanceof Uint8Array) || key.length !== 32) {
    throw new FederatedError("invalid-argument", "The key of the state must be 32 bytes.");
  }
  const wrapper = secretKeyWrapper("state", new Secret(key));
  key.fill(0);
  const counter = fileCounter(directory);
  return (name) => sealedState({ path: join(directory, `${name}.sealed`), wrapper, counter, name });
}
