/**
 * Parties for tests of channels: identity, worker key, statement, simulated evidence, policy. Every
 * part can be replaced, so that a test can be hostile in exactly one place.
 */
import {
  type Attester,
  createAppraiser,
  createDelegation,
  fingerprint,
  type Policy,
  type Revocations,
  type RolePolicy,
  type Statement,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Clock,
  type Crypto,
  type Log,
  type LogFields,
  type Signer,
  systemClock,
  systemRandom,
  toHex,
} from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { createEndpointWith, type Endpoint } from "../src/endpoint.ts";
import {
  type Binder,
  type Rebinder,
  renewedBinding,
  sessionBinding,
} from "../src/handshake/binding.ts";
import {
  type Channel,
  type ChannelLimits,
  createSessionRegistry,
  createTlsIdentity,
  type MutualOptions,
  memoryTransportPair,
  type SessionRegistry,
  type TlsIdentity,
} from "../src/index.ts";

export const crypto: Crypto = nodeCrypto();

const digestOf = (name: string) => crypto.digest("SHA-256", new TextEncoder().encode(name));

export interface World {
  readonly clock: Clock;
  readonly root: Signer;
}

/** One development root and clock for both parties. */
export async function world(clock: Clock = systemClock()): Promise<World> {
  return { clock, root: await crypto.generateSigner("ES256") };
}

export interface PartyOptions {
  readonly role: string;
  readonly peerRole: string;
  readonly code?: string;
  readonly workload?: string;
  readonly debug?: boolean;
  /** Root that signs its evidence; the world's by default. */
  readonly root?: Signer;
  /** TLS key; a fresh one by default. */
  readonly tls?: TlsIdentity;
  readonly identity?: Signer;
  /** Lifetime of the delegation in milliseconds. */
  readonly delegationMs?: number;
  readonly maxAgeSeconds?: number;
  readonly limits?: Partial<ChannelLimits>;
  readonly revocations?: Revocations;
  readonly log?: Log;
}

export interface LoggedEvent {
  readonly event: string;
  readonly fields: LogFields & { readonly reason?: string };
}

export interface Party {
  readonly options: MutualOptions;
  readonly tls: TlsIdentity;
  readonly identity: Signer;
  readonly fingerprint: string;
  readonly worker: Signer;
  readonly statement: Statement;
  readonly attester: Attester;
  readonly sessions: SessionRegistry;
  readonly events: LoggedEvent[];
  /** How often evidence was collected. */
  readonly collected: () => number;
}

/** A party whose policy admits the peers in `admits`, filled in by {@link acquaint}. */
export async function party(here: World, options: PartyOptions): Promise<Party> {
  const { clock } = here;
  const identity = options.identity ?? (await crypto.generateSigner("ES256"));
  const worker = await crypto.generateSigner("ES256");
  const tls = options.tls ?? (await createTlsIdentity({ clock }));
  const receipt = await crypto.generateSigner("ES256");
  const statement: Statement = {
    runtime: await digestOf("runtime"),
    flags: await digestOf("flags"),
    code: await digestOf(options.code ?? "code"),
    policy: await digestOf("policy"),
    config: await digestOf("config"),
    keys: {
      tls: tls.spki,
      signing: worker.publicKey,
      hpke: systemRandom().bytes(32),
      receipt: receipt.publicKey,
    },
  };
  const { keys: _keys, ...measured } = statement;
  const inner = simulatedAttester({
    root: options.root ?? here.root,
    crypto,
    clock,
    measured,
    debug: options.debug ?? false,
  });
  let collected = 0;
  const attester: Attester = {
    type: inner.type,
    collect: async (reportData, collectOptions) => {
      collected++;
      return await inner.collect(reportData, collectOptions);
    },
  };
  const delegate = () =>
    createDelegation(identity, {
      worker: worker.publicKey,
      code: statement.code,
      workload: options.workload ?? "psi",
      notBefore: clock.now() - 1000,
      notAfter: clock.now() + (options.delegationMs ?? 12 * 3600_000),
    });
  const delegation = await delegate();
  const { revocations } = options;
  const sessions = createSessionRegistry({ clock, ...(revocations ? { revocations } : {}) });
  const events: LoggedEvent[] = [];
  const policy: Policy = {
    version: 1,
    name: "test",
    roles: {
      [options.peerRole]: {
        identities: [],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, here.root.publicKey),
            measurements: {
              code: [toHex(await digestOf("code"))],
              runtime: [toHex(statement.runtime)],
            },
            minimumSvn: {},
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds: options.maxAgeSeconds ?? 600,
          },
        ],
      },
    },
  };
  return {
    tls,
    identity,
    fingerprint: await fingerprint(crypto, identity.publicKey),
    worker,
    statement,
    attester,
    sessions,
    events,
    collected: () => collected,
    options: {
      mode: "mutual",
      role: options.role,
      peerRole: options.peerRole,
      workload: "psi",
      statement,
      identity: { delegation: () => delegation, signer: worker },
      attester,
      policy,
      appraiser: createAppraiser({
        verifiers: [simulatedVerifier()],
        crypto,
        clock,
        ...(revocations ? { revocations } : {}),
      }),
      crypto,
      clock,
      random: systemRandom(),
      log: options.log ?? {
        event: (_level, event, fields = {}) => void events.push({ event, fields }),
      },
      limits: options.limits ?? {},
      sessions,
    },
  };
}

/** Makes a party's policy name exactly these peers. Before its endpoints are made. */
export function admit(own: Party, fingerprints: readonly string[]): void {
  const role = own.options.policy.roles[own.options.peerRole] as {
    -readonly [Field in keyof RolePolicy]: RolePolicy[Field];
  };
  role.identities = fingerprints;
}

/** Lets each party's policy name the other's identity. */
export function acquaint(a: Party, b: Party): void {
  for (const [own, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const { identities } = own.options.policy.roles[own.options.peerRole] as RolePolicy;
    admit(own, [...identities, other.fingerprint]);
  }
}

/** A receiver (TLS client) and a sender (TLS server) who know each other. */
export async function pair(
  options: {
    readonly clock?: Clock;
    readonly client?: Partial<PartyOptions>;
    readonly server?: Partial<PartyOptions>;
  } = {},
): Promise<{ readonly here: World; readonly client: Party; readonly server: Party }> {
  const here = await world(options.clock);
  const client = await party(here, { role: "receiver", peerRole: "sender", ...options.client });
  const server = await party(here, { role: "sender", peerRole: "receiver", ...options.server });
  acquaint(client, server);
  return { here, client, server };
}

export interface Binders {
  readonly binder?: Binder;
  readonly rebinder?: Rebinder;
}

export function endpoint(
  of: Party,
  change: Partial<MutualOptions> = {},
  binders: Binders = {},
): Endpoint {
  return createEndpointWith(
    { ...of.options, ...change },
    { binder: sessionBinding, rebinder: renewedBinding, ...binders },
  );
}

/** What became of a handshake at both ends. */
export interface Outcome {
  readonly client: PromiseSettledResult<Channel>;
  readonly server: PromiseSettledResult<Channel>;
}

/** Runs both endpoints over an in-memory pair. */
export async function meet(
  client: Party,
  server: Party,
  ends: { readonly client?: Endpoint; readonly server?: Endpoint } = {},
): Promise<Outcome> {
  const [a, b] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
  const [clientResult, serverResult] = await Promise.allSettled([
    (ends.client ?? endpoint(client)).open(a),
    (ends.server ?? endpoint(server)).open(b),
  ]);
  return { client: clientResult, server: serverResult };
}

/** Two open channels. @throws the first refusal. */
export async function channels(
  client: Party,
  server: Party,
  ends: { readonly client?: Endpoint; readonly server?: Endpoint } = {},
): Promise<{ readonly client: Channel; readonly server: Channel }> {
  const outcome = await meet(client, server, ends);
  if (outcome.client.status === "rejected") throw outcome.client.reason;
  if (outcome.server.status === "rejected") throw outcome.server.reason;
  return { client: outcome.client.value, server: outcome.server.value };
}

/** The code of a rejection, or `open`. */
export function codeOf(result: PromiseSettledResult<Channel>): string {
  return result.status === "fulfilled"
    ? "open"
    : String((result.reason as { readonly code?: string }).code ?? result.reason);
}

/** Names of the failed rules of a refusal. */
export function rulesOf(result: PromiseSettledResult<Channel>): string[] {
  if (result.status === "fulfilled") return [];
  const { findings = [] } = result.reason as {
    readonly findings?: readonly { readonly rule: string; readonly ok: boolean }[];
  };
  return findings.filter(({ ok }) => !ok).map(({ rule }) => rule);
}
