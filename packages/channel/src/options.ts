/** What an endpoint is made of. Modes and roles are fixed here, locally; nothing is negotiated. */
import type { Appraiser, Attester, Collateral, Policy, Statement } from "@vivarium/attestation";
import type { Clock, Crypto, Log, Random } from "@vivarium/core";
import type { ChannelIdentity } from "./handshake/identity.ts";
import type { ChannelLimits } from "./limits.ts";
import type { SessionRegistry } from "./sessions.ts";

interface EndpointBase {
  /** Our role in the workload, as the peer's policy names it. */
  readonly role: string;
  /** The role we demand of the peer; our policy has rules for it. */
  readonly peerRole: string;
  /** Name of the workload; delegations are for one workload. */
  readonly workload: string;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly limits?: Partial<ChannelLimits>;
  readonly sessions: SessionRegistry;
}

/** What proves us to the peer. */
export interface Attesting {
  /** Its `keys.tls` must be the key of the transport. */
  readonly statement: Statement;
  readonly identity: ChannelIdentity;
  readonly attester: Attester;
}

/** What we hold the peer to. */
export interface Verifying {
  readonly policy: Policy;
  readonly appraiser: Appraiser;
  /** Current collateral; a function is asked again at each appraisal. */
  readonly collateral?: Collateral | (() => Collateral);
}

/** Both sides attest and verify: the default of every workload. */
export type MutualOptions = EndpointBase & Attesting & Verifying & { readonly mode: "mutual" };
/** A client that verifies and is not attested. */
export type VerifyingClientOptions = EndpointBase &
  Verifying & { readonly mode: "client-verifies-server"; readonly side: "client" };
/** A server that is attested and knows nothing of its clients. */
export type AttestedServerOptions = EndpointBase &
  Attesting & { readonly mode: "client-verifies-server"; readonly side: "server" };

export type EndpointOptions = MutualOptions | VerifyingClientOptions | AttestedServerOptions;

/** The half that attests, or undefined for a verifying client. */
export function attestingOf(options: EndpointOptions): Attesting | undefined {
  return options.mode === "mutual" || options.side === "server" ? options : undefined;
}

/** The half that verifies, or undefined for an attested server. */
export function verifyingOf(options: EndpointOptions): Verifying | undefined {
  return options.mode === "mutual" || options.side === "client" ? options : undefined;
}
