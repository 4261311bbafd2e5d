/**
 * The handshake of ARCHITECTURE.md, "The attested channel": Hello, bindings, identity, evidence,
 * verdict, in this order, each step needing the one before. No frame of the application is sent or
 * parsed before both verdicts.
 */
import { AttestationResult, type EvidenceType, type Statement } from "@vivarium/attestation";
import { type Crypto, equalBytes, labels, lengthPrefixed } from "@vivarium/core";
import { ChannelError, refusal } from "../errors.ts";
import { type FrameSource, peerRefused } from "../frame-source.ts";
import { frame, frameTypes } from "../frames.ts";
import type { ChannelLimits } from "../limits.ts";
import { attestingOf, type EndpointOptions, verifyingOf } from "../options.ts";
import { UnattestedPeer } from "../peer.ts";
import type { Transport } from "../transport.ts";
import { type Binder, exporterLabel, helloDigest, type TlsRole } from "./binding.ts";
import { appraiseEvidence, collectEvidence } from "./evidence.ts";
import {
  decodeHello,
  encodeHello,
  type Hello,
  nonceBytes,
  protocolVersion,
  type ReceivedHello,
} from "./hello.ts";
import {
  type DelegationCache,
  type ProvenIdentity,
  proveIdentity,
  verifyIdentity,
} from "./identity.ts";

export interface HandshakeContext {
  readonly options: EndpointOptions;
  readonly limits: ChannelLimits;
  readonly transport: Transport;
  readonly source: FrameSource;
  readonly binder: Binder;
  readonly delegations: DelegationCache;
  /** Of our own statement, which is the same for every handshake. */
  readonly own: OwnStatement | undefined;
  readonly signal: AbortSignal;
}

export interface OwnStatement {
  readonly bytes: Uint8Array;
  readonly digest: Promise<Uint8Array>;
}

/** What a handshake leaves behind; re-attestation goes on from it. */
export interface Established {
  readonly peer: AttestationResult | UnattestedPeer;
  /** Binding of each attested side. */
  readonly bindings: {
    readonly own: Uint8Array | undefined;
    readonly peer: Uint8Array | undefined;
  };
  readonly statements: {
    readonly own: Statement | undefined;
    readonly peer: Statement | undefined;
  };
  readonly identity: ProvenIdentity | undefined;
  /** SHA-256 over both Hellos and bindings. */
  readonly session: Uint8Array;
}

const accept = new Uint8Array([1]);

/** @throws ChannelError; `refused` carries the findings. */
export async function handshake(context: HandshakeContext): Promise<Established> {
  const { options, transport, source, limits, signal } = context;
  const attesting = attestingOf(options);
  const verifying = verifyingOf(options);
  const peerRole: TlsRole = transport.role === "client" ? "server" : "client";

  const ownHello = encodeHello(helloOf(options), context.own?.bytes);
  await send(context, frameTypes.hello, ownHello);
  const peerHello = await source.next(frameTypes.hello, limits.maxHelloBytes);
  const hello = readPeerHello(peerHello, ownHello, context);

  const digests = {
    own: await helloDigest(options.crypto, ownHello),
    peer: await helloDigest(options.crypto, peerHello),
  };
  const peerStatement = hello.statementBytes && statementHash(options.crypto, hello.statementBytes);
  const own = await bind(context, transport.role, context.own?.digest, digests);
  const peer = await bind(context, peerRole, peerStatement, digests);

  // Identity of both before evidence of either: quotes are costly, and name what they were made for.
  if (attesting !== undefined && own !== undefined) {
    const proof = await proveIdentity(attesting.identity, options.role, own);
    await send(context, frameTypes.identity, proof);
  }
  let identity: ProvenIdentity | undefined;
  if (verifying !== undefined && peer !== undefined && hello.statement !== undefined) {
    identity = await verifyIdentity(
      await source.next(frameTypes.identity, limits.maxIdentityBytes),
      {
        crypto: options.crypto,
        delegations: context.delegations,
        policy: verifying.policy,
        role: options.peerRole,
        workload: options.workload,
        statement: hello.statement,
        binding: peer,
        now: options.clock.now(),
      },
    );
  }

  if (attesting !== undefined && own !== undefined) {
    const evidence = await collectEvidence(attesting.attester, own, signal);
    await send(context, frameTypes.evidence, evidence);
  }
  let result: AttestationResult | UnattestedPeer;
  if (verifying === undefined) {
    result = new UnattestedPeer(hello.role, transport.peerKey);
  } else {
    if (peer === undefined || hello.statement === undefined || identity === undefined) {
      throw refusal("statement", "a statement of an attested peer", "none");
    }
    const bytes = await source.next(frameTypes.evidence, limits.maxEvidenceBytes);
    result = await appraiseEvidence(bytes, {
      verifying,
      role: options.peerRole,
      statement: hello.statement,
      identity,
      binding: peer,
    });
    AttestationResult.requireValid(result, options.clock);
  }

  await send(context, frameTypes.verdict, accept);
  const verdict = await source.next(frameTypes.verdict, accept.length);
  if (!equalBytes(verdict, accept)) {
    throw new ChannelError("protocol", "The peer's verdict is neither acceptance nor an alert.");
  }
  return {
    peer: result,
    bindings: { own, peer },
    statements: { own: attesting?.statement, peer: hello.statement },
    identity,
    session: await sessionDigest(context, digests, own, peer),
  };
}

async function send(
  { transport, source }: HandshakeContext,
  type: number,
  body: Uint8Array,
): Promise<void> {
  try {
    await transport.send(frame(type, body));
  } catch (error) {
    // The peer may have refused us while we were still writing: its alert says more than our error.
    throw (await source.endedByAlert()) ? peerRefused() : error;
  }
}

function helloOf(options: EndpointOptions): Hello {
  return {
    version: protocolVersion,
    mode: options.mode,
    role: options.role,
    nonce: options.random.bytes(nonceBytes),
    clock: options.clock.now(),
    accepts: acceptedTypes(options),
    statement: attestingOf(options)?.statement,
  };
}

function acceptedTypes(options: EndpointOptions): readonly EvidenceType[] {
  const roles = verifyingOf(options)?.policy.roles ?? {};
  const role = Object.hasOwn(roles, options.peerRole) ? roles[options.peerRole] : undefined;
  return [...new Set(role?.accept.map(({ type }) => type) ?? [])].sort();
}

/** Everything about a Hello that can be refused before any cryptography. */
function readPeerHello(
  bytes: Uint8Array,
  ownBytes: Uint8Array,
  context: HandshakeContext,
): ReceivedHello {
  const { options, transport, limits } = context;
  if (equalBytes(bytes, ownBytes)) throw refusal("hello.reflection", "the peer's Hello", "our own");
  const hello = decodeHello(bytes);
  if (hello.mode !== options.mode) throw refusal("hello.mode", options.mode, hello.mode);
  if (hello.role !== options.peerRole) throw refusal("hello.role", options.peerRole, hello.role);
  const skew = Math.abs(hello.clock - options.clock.now());
  if (skew > limits.maxClockSkewMs) {
    // The host sets the clock: a peer far off would judge expiry by another time than ours.
    throw refusal("hello.clock", `at most ${limits.maxClockSkewMs} ms apart`, `${skew} ms`);
  }
  const attested = verifyingOf(options) !== undefined;
  if ((hello.statement !== undefined) !== attested) {
    throw refusal(
      "hello.statement",
      attested ? "a statement" : "none",
      attested ? "none" : "a statement",
    );
  }
  if (hello.statement !== undefined && !equalBytes(hello.statement.keys.tls, transport.peerKey)) {
    // The evidence covers the statement: with another key in it the secure end is elsewhere.
    throw refusal("hello.tls-key", "the key of this connection", "another key");
  }
  const type = attestingOf(options)?.attester.type;
  if (type !== undefined && !hello.accepts.includes(type)) {
    throw refusal("hello.accepts", `a peer that accepts ${type} evidence`, hello.accepts.join(" "));
  }
  return hello;
}

/** What `statementDigest` gives, from the bytes at hand: `decodeStatement` takes no others. */
export async function statementHash(crypto: Crypto, statement: Uint8Array): Promise<Uint8Array> {
  return await crypto.digest("SHA-256", lengthPrefixed(labels.statement, statement));
}

interface Digests {
  readonly own: Uint8Array;
  readonly peer: Uint8Array;
}

async function bind(
  context: HandshakeContext,
  role: TlsRole,
  statement: Promise<Uint8Array> | undefined,
  digests: Digests,
): Promise<Uint8Array | undefined> {
  if (statement === undefined) return undefined;
  const { options, transport, binder } = context;
  const isClient = transport.role === "client";
  return await binder(options.crypto, {
    mode: options.mode,
    role,
    clientKey: isClient ? transport.localKey : transport.peerKey,
    serverKey: isClient ? transport.peerKey : transport.localKey,
    exporter: transport.exportKey(exporterLabel(role), new Uint8Array(0), 32),
    clientHello: isClient ? digests.own : digests.peer,
    serverHello: isClient ? digests.peer : digests.own,
    statement: await statement,
  });
}

async function sessionDigest(
  { options, transport }: HandshakeContext,
  digests: Digests,
  own: Uint8Array | undefined,
  peer: Uint8Array | undefined,
): Promise<Uint8Array> {
  const mine = lengthPrefixed(digests.own, own ?? new Uint8Array(0));
  const theirs = lengthPrefixed(digests.peer, peer ?? new Uint8Array(0));
  const ordered = transport.role === "client" ? [mine, theirs] : [theirs, mine];
  return await options.crypto.digest("SHA-256", lengthPrefixed(labels.session, ...ordered));
}
