/** An endpoint runs handshakes; it is the only way to a channel. */
import {
  AttestationResult,
  decodeStatement,
  encodeStatement,
  parsePolicy,
  type Statement,
  statementDigest,
} from "@vivarium/attestation";
import { equalBytes, VivariumError } from "@vivarium/core";
import { AttestedChannel } from "./channel.ts";
import type { Channel } from "./channel-types.ts";
import { steadyClock } from "./clock.ts";
import { ChannelError, refusal } from "./errors.ts";
import { logFindings } from "./findings.ts";
import { FrameSource } from "./frame-source.ts";
import { frame, frameTypes } from "./frames.ts";
import { type Binder, type Rebinder, renewedBinding, sessionBinding } from "./handshake/binding.ts";
import { type HandshakeContext, handshake } from "./handshake/handshake.ts";
import { DelegationCache } from "./handshake/identity.ts";
import { resolveLimits } from "./limits.ts";
import { attestingOf, type EndpointOptions, verifyingOf } from "./options.ts";
import type { Transport } from "./transport.ts";

export interface Endpoint {
  /**
   * Runs the handshake. The transport belongs to the endpoint from then on, also on failure.
   * @throws ChannelError `refused` (with findings), `peer-refused`, `protocol`, `limit-exceeded`,
   * `timeout`, `aborted`, `connection-failed`, `revoked`, `expired`.
   */
  open(transport: Transport, options?: { readonly signal?: AbortSignal }): Promise<Channel>;
}

/**
 * @throws ChannelError `limit-exceeded` for limits that contradict each other; AttestationError
 * `invalid-policy` or `malformed`.
 */
export function createEndpoint(options: EndpointOptions): Endpoint {
  return createEndpointWith(options, { binder: sessionBinding, rebinder: renewedBinding });
}

/** @internal With binders of a test's own. Not exported from the package. */
export function createEndpointWith(
  given: EndpointOptions,
  binders: { readonly binder: Binder; readonly rebinder: Rebinder },
): Endpoint {
  const options = settled(given);
  const limits = resolveLimits(options.limits);
  const statement = attestingOf(options)?.statement;
  const own = statement && {
    bytes: encodeStatement(statement),
    digest: statementDigest(options.crypto, statement),
  };
  const shared = { options, limits, ...binders, own, delegations: new DelegationCache() };
  let running = 0;
  return {
    async open(transport, { signal } = {}) {
      if (running >= limits.maxConcurrentHandshakes) {
        transport.destroy();
        throw new ChannelError("limit-exceeded", "Too many handshakes at the same time.");
      }
      running++;
      try {
        return await openChannel(shared, transport, signal);
      } finally {
        running--;
      }
    },
  };
}

/** Options as they are now: what the caller changes later changes nothing here. */
function settled(given: EndpointOptions): EndpointOptions {
  const clock = steadyClock(given.clock);
  const copy = (statement: Statement): Statement => decodeStatement(encodeStatement(statement));
  if (given.mode === "mutual") {
    const { policy, statement } = given;
    return { ...given, clock, policy: parsePolicy(policy), statement: copy(statement) };
  }
  return given.side === "client"
    ? { ...given, clock, policy: parsePolicy(given.policy) }
    : { ...given, clock, statement: copy(given.statement) };
}

type Shared = Pick<HandshakeContext, "options" | "limits" | "binder" | "delegations" | "own"> & {
  readonly rebinder: Rebinder;
};

async function openChannel(
  shared: Shared,
  transport: Transport,
  signal: AbortSignal | undefined,
): Promise<Channel> {
  const { options, limits } = shared;
  const source = new FrameSource(limits.maxHandshakeBytes);
  const stop = new AbortController();
  // Ends everything the handshake may be waiting for: frames, evidence, the transport itself.
  let interrupt: (error: ChannelError) => void = () => {};
  const interrupted = new Promise<never>((_resolve, reject) => {
    interrupt = (error) => {
      source.fail(error);
      stop.abort(error);
      reject(error);
    };
  });
  interrupted.catch(() => undefined);
  const cancelTimer = options.clock.after(limits.handshakeTimeoutMs, () =>
    interrupt(new ChannelError("timeout", `No verdict within ${limits.handshakeTimeoutMs} ms.`)),
  );
  const onAbort = (): void =>
    interrupt(
      new ChannelError("aborted", "The handshake was cancelled.", { cause: signal?.reason }),
    );
  try {
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    requireConsistent(options, transport);
    transport.receive(source);
    const context = { ...shared, transport, source, signal: stop.signal };
    const established = await Promise.race([handshake(context), interrupted]);
    const channel = new AttestedChannel({ ...shared, transport, established });
    source.attach(channel);
    const { peer } = channel;
    options.log.event("info", "channel.accepted", {
      channel: channel.id,
      peer: AttestationResult.is(peer) ? peer.identity : "unattested",
      tee: AttestationResult.is(peer) ? peer.tee : "none",
      isolation: AttestationResult.is(peer) ? peer.isolation : "none",
    });
    return channel;
  } catch (cause) {
    const error = asChannelError(cause);
    source.fail(error);
    options.log.event("warn", "channel.refused", { code: error.code, message: error.message });
    logFindings(options, "", error);
    await turnAway(transport, error);
    throw error;
  } finally {
    cancelTimer();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** A generic alert: the same for every reason, so that a peer cannot feel its way to acceptance. */
async function turnAway(transport: Transport, error: ChannelError): Promise<void> {
  const told = ["peer-refused", "connection-failed", "timeout", "aborted"].includes(error.code);
  if (told) return transport.destroy();
  transport.send(frame(frameTypes.alert)).catch(() => undefined);
  // Not awaited: a peer that does not read must not hold back the refusal.
  transport.close().catch(() => undefined);
}

function requireConsistent(options: EndpointOptions, transport: Transport): void {
  if (options.mode === "client-verifies-server" && options.side !== transport.role) {
    throw new ChannelError(
      "not-attested",
      `This endpoint is the ${options.side} of its mode; the transport is a ${transport.role}'s.`,
    );
  }
  const attesting = attestingOf(options);
  if (attesting && !equalBytes(attesting.statement.keys.tls, transport.localKey)) {
    throw refusal("own.tls-key", "the key of this connection in our statement", "another key");
  }
  const policy = verifyingOf(options)?.policy;
  if (policy !== undefined && !Object.hasOwn(policy.roles, options.peerRole)) {
    throw refusal("own.policy", `rules for role ${options.peerRole} in our policy`, "none");
  }
}

function asChannelError(cause: unknown): ChannelError {
  if (cause instanceof ChannelError) return cause;
  const code = cause instanceof VivariumError && cause.code === "limit-exceeded";
  const malformed = cause instanceof VivariumError && cause.code === "malformed";
  if (code) return new ChannelError("limit-exceeded", cause.message, { cause });
  if (malformed) return new ChannelError("protocol", cause.message, { cause });
  return new ChannelError("refused", "The handshake failed on this side.", { cause });
}
