/**
 * Re-attestation over a running channel: the verifier sends a challenge, the attester answers with
 * identity and evidence over a binding that continues the last one. Application frames go on.
 */
import { type AttestationResult, statementDigest } from "@vivarium/attestation";
import { decode, type Encodable, encode } from "@vivarium/core";
import { ChannelError, refusal } from "./errors.ts";
import { frame, frameTypes } from "./frames.ts";
import { exporterLabel, nonceContext, type Rebinder, type TlsRole } from "./handshake/binding.ts";
import { appraiseEvidence, collectEvidence } from "./handshake/evidence.ts";
import type { Established } from "./handshake/handshake.ts";
import { nonceBytes } from "./handshake/hello.ts";
import { type DelegationCache, proveIdentity, verifyIdentity } from "./handshake/identity.ts";
import type { ChannelLimits } from "./limits.ts";
import { attestingOf, type EndpointOptions, verifyingOf } from "./options.ts";
import type { Transport } from "./transport.ts";

export interface ReattestationContext {
  readonly options: EndpointOptions;
  readonly limits: ChannelLimits;
  readonly transport: Transport;
  readonly established: Established;
  readonly rebinder: Rebinder;
  readonly delegations: DelegationCache;
  /** Fires when the channel ends. */
  readonly signal: () => AbortSignal;
}

/** Counts requests in a sliding minute. */
class MinuteCount {
  #times: number[] = [];

  admit(now: number, most: number): boolean {
    this.#times = this.#times.filter((time) => now - time < 60_000);
    if (this.#times.length >= most) return false;
    this.#times.push(now);
    return true;
  }
}

interface Awaited {
  readonly epoch: number;
  readonly nonce: Uint8Array;
  readonly resolve: (proof: readonly Encodable[]) => void;
  readonly reject: (error: unknown) => void;
}

export class Reattestation {
  readonly #context: ReattestationContext;
  /** As verifier: of the peer. */
  #peerEpoch = 0;
  #peerBinding: Uint8Array | undefined;
  #awaited: Awaited | undefined;
  readonly #asked = new MinuteCount();
  /** As attester: of ourselves. */
  #ownEpoch = 0;
  #ownBinding: Uint8Array | undefined;
  #answering = false;
  readonly #answered = new MinuteCount();

  constructor(context: ReattestationContext) {
    this.#context = context;
    this.#peerBinding = context.established.bindings.peer;
    this.#ownBinding = context.established.bindings.own;
  }

  /**
   * The verifier's side. @throws ChannelError `refused` (the channel must go), `timeout`, `remote`
   * (the peer has no evidence now; what we hold stays valid until it expires), `limit-exceeded`,
   * `not-attested`.
   */
  async ask(): Promise<AttestationResult> {
    const { options, limits, transport, established, rebinder } = this.#context;
    const verifying = verifyingOf(options);
    const statement = established.statements.peer;
    const previous = this.#peerBinding;
    const { identity } = established;
    if (!verifying || !statement || !previous || !identity) {
      throw new ChannelError(
        "not-attested",
        "This peer is not attested; there is nothing to renew.",
      );
    }
    if (!this.#asked.admit(options.clock.monotonic(), limits.maxReattestationsPerMinute)) {
      throw new ChannelError("limit-exceeded", "Too many re-attestations in a minute.");
    }
    const epoch = ++this.#peerEpoch;
    const nonce = options.random.bytes(nonceBytes);
    const role: TlsRole = transport.role === "client" ? "server" : "client";
    const fields = await this.#exchange(epoch, nonce);
    const [, attesterNonce, proof, evidence] = fields;
    if (attesterNonce === undefined) {
      throw new ChannelError("remote", "The peer could not produce evidence.");
    }
    if (
      !(attesterNonce instanceof Uint8Array) ||
      attesterNonce.length !== nonceBytes ||
      !(proof instanceof Uint8Array) ||
      proof.length > limits.maxIdentityBytes ||
      !(evidence instanceof Uint8Array)
    ) {
      throw new ChannelError("protocol", "The peer's proof of a re-attestation is malformed.");
    }
    const context = await nonceContext(options.crypto, nonce, attesterNonce);
    const binding = await rebinder(options.crypto, {
      role,
      epoch,
      previous,
      exporter: transport.exportKey(exporterLabel(role), context, 32),
      statement: await statementDigest(options.crypto, statement),
    });
    const proven = await verifyIdentity(proof, {
      crypto: options.crypto,
      delegations: this.#context.delegations,
      policy: verifying.policy,
      role: options.peerRole,
      workload: options.workload,
      statement,
      binding,
      now: options.clock.now(),
    });
    if (proven.fingerprint !== identity.fingerprint) {
      throw refusal("identity.continuity", identity.fingerprint, proven.fingerprint);
    }
    const result = await appraiseEvidence(evidence, {
      verifying,
      role: options.peerRole,
      statement,
      identity: proven,
      binding,
    });
    this.#peerBinding = binding;
    return result;
  }

  async #exchange(epoch: number, nonce: Uint8Array): Promise<readonly Encodable[]> {
    const { options, limits, transport } = this.#context;
    const signal = this.#context.signal();
    let cancel = (): void => {};
    const onAbort = (): void => this.#awaited?.reject(signal.reason);
    try {
      return await new Promise<readonly Encodable[]>((resolve, reject) => {
        this.#awaited = { epoch, nonce, resolve, reject };
        if (signal.aborted) return reject(signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        cancel = options.clock.after(limits.reattestTimeoutMs, () =>
          reject(new ChannelError("timeout", "The peer did not attest again in time.")),
        );
        transport.send(frame(frameTypes.challenge, encode([epoch, nonce]))).catch(reject);
      });
    } finally {
      cancel();
      signal.removeEventListener("abort", onAbort);
      this.#awaited = undefined;
    }
  }

  /** The verifier's side: a proof has come. @throws ChannelError `protocol` if none was asked for. */
  proof(body: Uint8Array): void {
    const fields = fieldsOf(body, this.#context.limits);
    const awaited = this.#awaited;
    if (awaited === undefined || fields[0] !== awaited.epoch) {
      throw new ChannelError("protocol", "The peer sent a proof that nobody asked for.");
    }
    this.#awaited = undefined;
    awaited.resolve(fields);
  }

  /**
   * The attester's side: a challenge has come.
   * @throws ChannelError `protocol` for an epoch that is not the next, `limit-exceeded` for too
   * many: each costs a quote.
   */
  challenge(body: Uint8Array): void {
    const { options, limits } = this.#context;
    const [epoch, nonce] = fieldsOf(body, limits);
    if (epoch !== this.#ownEpoch + 1 || this.#answering) {
      throw new ChannelError("protocol", "The peer's challenge is not for the next epoch.");
    }
    if (!(nonce instanceof Uint8Array) || nonce.length !== nonceBytes) {
      throw new ChannelError("protocol", "The peer's challenge has no nonce.");
    }
    if (!this.#answered.admit(options.clock.monotonic(), limits.maxReattestationsPerMinute)) {
      throw new ChannelError("limit-exceeded", "The peer asks for evidence too often.");
    }
    this.#ownEpoch = epoch;
    this.#answering = true;
    void this.#answer(epoch, nonce).finally(() => {
      this.#answering = false;
    });
  }

  async #answer(epoch: number, verifierNonce: Uint8Array): Promise<void> {
    const { options, transport } = this.#context;
    let answer: Uint8Array;
    try {
      answer = await this.#prove(epoch, verifierNonce);
    } catch {
      options.log.event("warn", "channel.reattestation-unavailable", { epoch });
      answer = encode([epoch]);
    }
    this.#answering = false;
    await transport.send(frame(frameTypes.proof, answer)).catch(() => undefined);
  }

  async #prove(epoch: number, verifierNonce: Uint8Array): Promise<Uint8Array> {
    const { options, transport, established, rebinder, signal } = this.#context;
    const attesting = attestingOf(options);
    const previous = this.#ownBinding;
    const statement = established.statements.own;
    if (attesting === undefined || previous === undefined || statement === undefined) {
      throw new ChannelError("not-attested", "This side is not attested.");
    }
    const nonce = options.random.bytes(nonceBytes);
    const context = await nonceContext(options.crypto, verifierNonce, nonce);
    const binding = await rebinder(options.crypto, {
      role: transport.role,
      epoch,
      previous,
      exporter: transport.exportKey(exporterLabel(transport.role), context, 32),
      statement: await statementDigest(options.crypto, statement),
    });
    const proof = await proveIdentity(attesting.identity, options.role, binding);
    const evidence = await collectEvidence(attesting.attester, binding, signal());
    // Only now: an epoch without evidence leaves the chain of bindings as it was.
    this.#ownBinding = binding;
    return encode([epoch, nonce, proof, evidence]);
  }
}

/** Largest body of a proof. */
export function proofLimit(limits: ChannelLimits): number {
  return limits.maxEvidenceBytes + limits.maxIdentityBytes + 256;
}

function fieldsOf(body: Uint8Array, limits: ChannelLimits): readonly Encodable[] {
  const fields = decode(body, {
    maxBytes: proofLimit(limits),
    maxDepth: 1,
    maxArrayLength: 4,
    maxMapLength: 0,
    maxStringBytes: 0,
    maxBinaryBytes: limits.maxEvidenceBytes,
    maxValues: 5,
  });
  if (!Array.isArray(fields)) throw new ChannelError("protocol", "A re-attestation is malformed.");
  return fields;
}
