/** The two things compared: attested channels, and bare TLS under the same conditions. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createSecureContext, createServer, type TLSSocket } from "node:tls";
import {
  createAppraiser,
  createDelegation,
  fingerprint,
  type Policy,
  type Statement,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Channel,
  connectTls,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
  type Endpoint,
  listenTls,
  type TlsIdentity,
} from "@vivarium/channel";
import { type Signer, silentLog, systemClock, systemRandom, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { bareCertificate } from "./certificate.ts";

const host = "127.0.0.1";

/** Opens a connected pair over the loop-back interface. */
export interface Ends<Pair> {
  open(): Promise<Pair>;
  close(): Promise<void>;
}

export interface ChannelPair {
  readonly client: Channel;
  readonly server: Channel;
}

const crypto = nodeCrypto();
const clock = systemClock();
const random = systemRandom();

interface End {
  readonly tls: TlsIdentity;
  readonly fingerprint: string;
  readonly endpoint: (peer: string) => Endpoint;
}

async function end(role: string, peerRole: string, root: Signer): Promise<End> {
  const identity = await crypto.generateSigner("ES256");
  const worker = await crypto.generateSigner("ES256");
  const tls = await createTlsIdentity({ clock });
  const digest = await crypto.digest("SHA-256", new TextEncoder().encode("bench"));
  const measured = { runtime: digest, flags: digest, code: digest, policy: digest, config: digest };
  const keys = {
    tls: tls.spki,
    signing: worker.publicKey,
    hpke: random.bytes(32),
    receipt: (await crypto.generateSigner("ES256")).publicKey,
  };
  const statement: Statement = { ...measured, keys };
  const now = clock.now();
  const delegation = await createDelegation(identity, {
    worker: worker.publicKey,
    code: digest,
    workload: "bench",
    notBefore: now,
    notAfter: now + 3_600_000,
  });
  const trusted = await fingerprint(crypto, root.publicKey);
  const policyFor = (peer: string): Policy => ({
    version: 1,
    name: "bench",
    roles: {
      [peerRole]: {
        identities: [peer],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: trusted,
            measurements: { code: [toHex(digest)], runtime: [toHex(digest)] },
            minimumSvn: {},
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds: 3600,
          },
        ],
      },
    },
  });
  return {
    tls,
    fingerprint: await fingerprint(crypto, identity.publicKey),
    endpoint: (peer) =>
      createEndpoint({
        mode: "mutual",
        role,
        peerRole,
        workload: "bench",
        statement,
        identity: { delegation: () => delegation, signer: worker },
        attester: simulatedAttester({ root, crypto, clock, measured }),
        policy: policyFor(peer),
        appraiser: createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock }),
        crypto,
        clock,
        random,
        log: silentLog,
        sessions: createSessionRegistry({ clock }),
      }),
  };
}

/** Both ends attest by simulated evidence and verify each other's. */
export async function attestedEnds(): Promise<Ends<ChannelPair>> {
  const root = await crypto.generateSigner("ES256");
  const client = await end("client", "server", root);
  const server = await end("server", "client", root);
  const clientEndpoint = client.endpoint(server.fingerprint);
  const serverEndpoint = server.endpoint(client.fingerprint);
  const limits = { maxConnectionsPerMinute: 1_000_000 };
  const listener = await listenTls({ host, port: 0, key: server.tls, clock, limits });
  const incoming = listener.accept();
  return {
    async open() {
      const accepting = incoming.next();
      const transport = await connectTls({ host, port: listener.port, key: client.tls });
      const { value } = await accepting;
      const [opened, accepted] = await Promise.all([
        clientEndpoint.open(transport),
        serverEndpoint.open(value),
      ]);
      return { client: opened, server: accepted };
    },
    close: () => listener.close(),
  };
}

export interface SocketPair {
  readonly client: TLSSocket;
  readonly server: TLSSocket;
}

/** TLS 1.3 with both certificates and no resumption, as the channel has it. */
export async function bareEnds(): Promise<Ends<SocketPair>> {
  const mine = bareCertificate();
  const theirs = bareCertificate();
  const common = { minVersion: "TLSv1.3", rejectUnauthorized: false } as const;
  // Parsed once, as the channel's is: parsing keys for each connection would flatter the ratio.
  const secureContext = createSecureContext({ minVersion: "TLSv1.3", ...mine });
  const server = createServer({ ...common, ...theirs, requestCert: true });
  const accepted: ((socket: TLSSocket) => void)[] = [];
  server.on("secureConnection", (socket) => accepted.shift()?.(socket));
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    async open() {
      const accepting = new Promise<TLSSocket>((resolve) => accepted.push(resolve));
      const client = connect({ ...common, secureContext, host, port });
      const [peer] = await Promise.all([accepting, once(client, "secureConnect")]);
      const pair = { client, server: peer };
      for (const socket of [pair.client, pair.server]) {
        socket.on("error", () => {});
        socket.setNoDelay(true);
      }
      return pair;
    },
    async close() {
      server.close();
    },
  };
}
