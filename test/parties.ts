/** Alice, who answers as the receiver, and bob: parties in this process, for policy and channels. */
import {
  createAppraiser,
  createDelegation,
  fingerprint,
  type Policy,
  type PolicyRecord,
  type Statement,
  type tcbStatuses,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Channel,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
  type Endpoint,
  memoryTransportPair,
  type TlsIdentity,
} from "@vivarium/channel";
import { type Signer, silentLog, systemClock, systemRandom, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";

export const crypto = nodeCrypto();
export const clock = systemClock();
export const random = systemRandom();
export const bytes32 = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
export const measured = {
  code: bytes32(1),
  runtime: bytes32(2),
  flags: bytes32(3),
  policy: bytes32(4),
  config: bytes32(5),
};
const peers = { receiver: "sender", sender: "receiver" } as const;
export type Role = keyof typeof peers;

export interface Party {
  readonly identity: Signer;
  readonly worker: Signer;
  readonly tls: TlsIdentity;
  readonly statement: Statement;
}

/** Development root of everybody here. */
export const root: Signer = await crypto.generateSigner("ES256");

export async function party(): Promise<Party> {
  const worker = await crypto.generateSigner("ES256");
  const tls = await createTlsIdentity({ clock });
  const keys = {
    tls: tls.spki,
    signing: worker.publicKey,
    hpke: bytes32(9),
    receipt: worker.publicKey,
  };
  const identity = await crypto.generateSigner("ES256");
  return { identity, worker, tls, statement: { ...measured, keys } };
}

export const alice: Party = await party();
export const bob: Party = await party();

const record: PolicyRecord = {
  type: "simulated",
  isolation: "simulated",
  binding: "session",
  root: await fingerprint(crypto, root.publicKey),
  measurements: { code: [toHex(measured.code)], runtime: [toHex(measured.runtime)] },
  minimumSvn: { svn: 3 },
  tcb: ["UpToDate"],
  debug: false,
  maxAgeSeconds: 600,
};

export async function policyOf(peer: Party, role: Role, change: object = {}): Promise<Policy> {
  const identities = [await fingerprint(crypto, peer.identity.publicKey)];
  const accept = [{ ...record, ...change }];
  return { version: 1, name: "regressions", roles: { [role]: { identities, accept } } };
}

export interface Evil {
  readonly svn?: number;
  readonly debug?: boolean;
  readonly tcb?: (typeof tcbStatuses)[number];
  readonly root?: Signer;
  readonly measured?: typeof measured;
}

export const attester = (evil: Evil = {}) =>
  simulatedAttester({ root, crypto, clock, measured, svn: 3, ...evil });

export async function endpointOf(own: Party, role: Role, policy: Policy): Promise<Endpoint> {
  const now = clock.now();
  const delegation = await createDelegation(own.identity, {
    worker: own.worker.publicKey,
    code: own.statement.code,
    workload: "psi",
    notBefore: now - 1_000,
    notAfter: now + 3_600_000,
  });
  return createEndpoint({
    ...{ mode: "mutual", role, peerRole: peers[role], workload: "psi", policy },
    ...{ crypto, clock, random, log: silentLog },
    statement: own.statement,
    attester: attester(),
    identity: { delegation: () => delegation, signer: own.worker },
    appraiser: createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock }),
    sessions: createSessionRegistry({ clock }),
  });
}

/** Alice answers as the receiver; whoever plays the sender opens. */
export async function meet(server: Endpoint, as: Party) {
  const opener = await endpointOf(as, "sender", await policyOf(alice, "receiver"));
  const [a, b] = memoryTransportPair({ clientKey: as.tls.spki, serverKey: alice.tls.spki });
  const [client, answered] = await Promise.allSettled([opener.open(a), server.open(b)]);
  return { client, server: answered };
}

export const opened = (settled: PromiseSettledResult<Channel>): Channel => {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
};
