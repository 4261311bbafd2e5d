/** A channel: its calls, its lifetime, its end. Made by an endpoint after both verdicts. */
import { AttestationResult } from "@vivarium/attestation";
import { type Encodable, labels, lengthPrefixed, toHex } from "@vivarium/core";
import { Mux } from "./calls/mux.ts";
import type { CallLimits, Channel, ChannelClosed } from "./channel-types.ts";
import { Ending } from "./ending.ts";
import { ChannelError } from "./errors.ts";
import { logFindings } from "./findings.ts";
import { type FrameSink, peerRefused } from "./frame-source.ts";
import { frame, frameTypes } from "./frames.ts";
import type { Rebinder } from "./handshake/binding.ts";
import type { Established } from "./handshake/handshake.ts";
import type { DelegationCache } from "./handshake/identity.ts";
import type { ChannelLimits } from "./limits.ts";
import type { CallMethod, Handlers, StreamMethod } from "./methods.ts";
import type { EndpointOptions } from "./options.ts";
import type { UnattestedPeer } from "./peer.ts";
import { proofLimit, Reattestation } from "./reattestation.ts";
import type { Session } from "./sessions.ts";
import type { Transport } from "./transport.ts";

export interface ChannelParts {
  readonly options: EndpointOptions;
  readonly limits: ChannelLimits;
  readonly transport: Transport;
  readonly established: Established;
  readonly rebinder: Rebinder;
  readonly delegations: DelegationCache;
}

/** Share of a result's lifetime after which the peer is asked to attest again. */
const renewAt = 0.8;

export class AttestedChannel implements Channel, FrameSink, Session {
  readonly id: string;
  readonly role: "client" | "server";
  readonly closed: Promise<ChannelClosed>;
  readonly #parts: ChannelParts;
  readonly #mux: Mux;
  readonly #reattestation: Reattestation;
  #stop: AbortController | undefined;
  readonly #leave: () => void;
  #peer: AttestationResult | UnattestedPeer;
  #state: "open" | "draining" | "closed" = "open";
  #resolveClosed: (closed: ChannelClosed) => void = () => {};
  #controlBytes = 0;
  #lastHeard: number;
  #timers: { expiry?: () => void; renewal?: () => void; heartbeat?: () => void } = {};
  #renewing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  /** @throws ChannelError `revoked` or `expired` if the peer is by now. */
  constructor(parts: ChannelParts) {
    const { options, limits, transport, established } = parts;
    this.#parts = parts;
    this.#peer = established.peer;
    this.id = toHex(established.session.subarray(0, 16));
    this.role = transport.role;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#mux = new Mux({
      clock: options.clock,
      limits,
      role: transport.role,
      peer: () => this.#peer,
      send: (frameParts) => transport.send(frameParts),
      post: (frameParts) => this.#post(frameParts),
      idle: () => this.#onIdle?.(),
    });
    this.#reattestation = new Reattestation({ ...parts, signal: () => this.#signal() });
    this.#lastHeard = options.clock.monotonic();
    this.#leave = options.sessions.admit(this);
    this.#scheduleLifetime();
    this.#scheduleHeartbeat();
  }

  get peer(): AttestationResult | UnattestedPeer {
    return this.#peer;
  }

  get open(): boolean {
    return this.#state === "open";
  }

  async call<Req extends Encodable, Res extends Encodable>(
    method: CallMethod<Req, Res>,
    request: Req,
    options: CallLimits = {},
  ): Promise<Res> {
    this.#requireOpen();
    return await this.#mux.call(method, request, options);
  }

  stream<Params extends Encodable>(
    method: StreamMethod<Params>,
    outgoing: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: CallLimits & { readonly params?: Params } = {},
  ): AsyncIterableIterator<Uint8Array> {
    this.#requireOpen();
    return this.#mux.stream(method, outgoing, options);
  }

  serve(handlers: Handlers): () => void {
    this.#requireOpen();
    return this.#mux.serve(handlers);
  }

  exportKey(context: Uint8Array, length: number): Uint8Array {
    this.#requireOpen();
    if (!Number.isInteger(length) || length < 1 || length > 1024) {
      throw new ChannelError("limit-exceeded", "Keying material has 1 to 1,024 bytes.");
    }
    const { transport, established } = this.#parts;
    // The session's digest covers what the TLS exporter does not: client key, Hellos, statements.
    const bound = lengthPrefixed(established.session, context);
    return transport.exportKey(labels.exporterWorkload, bound, length);
  }

  #requireOpen(): void {
    if (this.#state !== "open") throw this.#endError();
    this.#checkExpiry();
    if (this.#state !== "open") throw this.#endError();
  }

  #ended: Ending | undefined;

  #endError(): ChannelError {
    return this.#ended?.error ?? new ChannelError("closed", "The channel is closing.");
  }

  // --- lifetime

  #scheduleLifetime(): void {
    this.#timers.expiry?.();
    this.#timers.renewal?.();
    const peer = this.#peer;
    if (!AttestationResult.is(peer)) return;
    const { clock } = this.#parts.options;
    const left = peer.expiresAt - clock.now();
    this.#timers.expiry = clock.after(left, () => this.#checkExpiry(true));
    this.#timers.renewal = clock.after(left * renewAt, () => this.#renewLater());
  }

  #checkExpiry(rearm = false): void {
    const peer = this.#peer;
    if (!AttestationResult.is(peer) || this.#state === "closed") return;
    const { clock } = this.#parts.options;
    if (clock.now() >= peer.expiresAt) {
      this.#destroy(new ChannelError("expired", "The peer's attestation result has expired."));
      return;
    }
    // The wall clock was set back meanwhile: what has passed has passed.
    if (rearm)
      this.#destroy(new ChannelError("expired", "The peer's result has outlived its time."));
  }

  #renewLater(): void {
    this.reattest().catch((error: unknown) => {
      if (this.#state === "closed") return;
      this.#parts.options.log.event("warn", "channel.reattestation-failed", {
        channel: this.id,
        code: error instanceof ChannelError ? error.code : "internal",
      });
      const peer = this.#peer;
      if (!AttestationResult.is(peer)) return;
      // Again at half of what is left; the expiry timer has the last word.
      const { clock } = this.#parts.options;
      const wait = Math.max(1_000, (peer.expiresAt - clock.now()) / 2);
      this.#timers.renewal = clock.after(wait, () => this.#renewLater());
    });
  }

  async reattest(): Promise<void> {
    this.#requireOpen();
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { options } = this.#parts;
    try {
      const result = await this.#reattestation.ask();
      AttestationResult.requireValid(result, options.clock);
      options.sessions.check(result);
      if (this.#state === "closed") throw this.#endError();
      this.#peer = result;
      this.#scheduleLifetime();
      options.log.event("info", "channel.reattested", { channel: this.id, tee: result.tee });
    } catch (error) {
      const keeps =
        error instanceof ChannelError &&
        ["remote", "limit-exceeded", "not-attested"].includes(error.code);
      // Refused evidence is news about the peer: the old result is not worth waiting out.
      if (!keeps) {
        logFindings(options, this.id, error);
        this.#destroy(
          error instanceof ChannelError
            ? error
            : new ChannelError("refused", "The peer could not attest again.", { cause: error }),
        );
      }
      throw error;
    }
  }

  revoke(error: ChannelError): void {
    logFindings(this.#parts.options, this.id, error);
    this.#destroy(error);
  }

  /** Fires when the channel ends. Made when asked for: most channels never attest again. */
  #signal(): AbortSignal {
    this.#stop ??= new AbortController();
    if (this.#state === "closed") this.#stop.abort(this.#endError());
    return this.#stop.signal;
  }

  #scheduleHeartbeat(): void {
    const { options, limits } = this.#parts;
    const { clock } = options;
    const due = clock.monotonic() + limits.heartbeatMs;
    this.#timers.heartbeat = clock.after(limits.heartbeatMs, () => {
      if (this.#state === "closed") return;
      const now = clock.monotonic();
      // If our own event loop stood still, what the peer sent meanwhile has not been read yet.
      const late = now - due >= limits.heartbeatMs / 2;
      if (!late && now - this.#lastHeard >= limits.silenceMs) {
        const message = `The peer has been silent for ${limits.silenceMs} ms.`;
        this.#destroy(new ChannelError("timeout", message));
        return;
      }
      // Suspended machines do not run timers: look at the clock as well.
      this.#checkExpiry();
      this.#post(frame(frameTypes.ping));
      if (!this.#isClosed()) this.#scheduleHeartbeat();
    });
  }

  #isClosed(): boolean {
    return this.#state === "closed";
  }

  // --- frames

  readonly limit = (type: number): number => {
    const ofCalls = this.#mux.limit(type);
    if (ofCalls !== undefined) return ofCalls;
    switch (type) {
      case frameTypes.alert:
      case frameTypes.ping:
      case frameTypes.pong:
      case frameTypes.goAway:
      case frameTypes.close:
        return 0;
      case frameTypes.challenge:
        return 256;
      case frameTypes.proof:
        return proofLimit(this.#parts.limits);
      default:
        throw new ChannelError("protocol", `Frame type ${type} has no place in a channel.`);
    }
  };

  frame(type: number, body: Uint8Array): void {
    if (this.#state === "closed") return;
    this.#lastHeard = this.#parts.options.clock.monotonic();
    switch (type) {
      case frameTypes.ping:
        this.#post(frame(frameTypes.pong));
        return;
      case frameTypes.pong:
        return;
      case frameTypes.alert:
        // Our verdict was the last to arrive, and the peer's refusal came behind it.
        this.#destroy(peerRefused());
        return;
      case frameTypes.challenge:
        this.#reattestation.challenge(body);
        return;
      case frameTypes.proof:
        this.#reattestation.proof(body);
        return;
      case frameTypes.goAway:
        if (this.#state === "open") {
          this.#state = "draining";
          this.#ended = new Ending("closed", "The peer is closing the channel.");
        }
        return;
      case frameTypes.close:
        this.#finish(new Ending("closed", "The peer closed the channel."), "close");
        return;
      default:
        this.#requireFresh();
        this.#mux.frame(type, body);
        return;
    }
  }

  /** No frame of the application is handled for a peer whose result has expired. */
  #requireFresh(): void {
    const peer = this.#peer;
    if (AttestationResult.is(peer) && this.#parts.options.clock.now() >= peer.expiresAt) {
      throw new ChannelError("expired", "The peer's attestation result has expired.");
    }
  }

  #post(parts: readonly Uint8Array[]): void {
    if (this.#state === "closed") return;
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    this.#controlBytes += bytes;
    if (this.#controlBytes > this.#parts.limits.maxControlBytes + this.#parts.limits.maxCallBytes) {
      const message = "The peer does not read what it is sent.";
      this.#destroy(new ChannelError("limit-exceeded", message));
      return;
    }
    this.#parts.transport.send(parts).then(
      () => {
        this.#controlBytes -= bytes;
      },
      () => undefined,
    );
  }

  end(cause?: Error): void {
    // The usual end comes after a close: no error, whose stack would be captured for nobody.
    if (this.#state === "closed") return;
    const message = "The connection ended without a close of the channel.";
    const options = cause === undefined ? {} : { cause };
    this.#destroy(new ChannelError("connection-failed", message, options));
  }

  broken(error: unknown): void {
    this.#destroy(
      error instanceof ChannelError
        ? error
        : new ChannelError("protocol", "The peer's bytes break the protocol.", { cause: error }),
    );
  }

  // --- the end

  async close(reason = "The channel was closed."): Promise<void> {
    if (this.#state === "closed") return;
    const ending = new Ending("closed", reason);
    this.#state = "draining";
    this.#ended = ending;
    this.#mux.stopAccepting();
    if (this.#mux.size > 0) {
      this.#post(frame(frameTypes.goAway));
      let cancel = (): void => {};
      await Promise.race([
        new Promise<void>((resolve) => {
          this.#onIdle = resolve;
          cancel = this.#parts.options.clock.after(this.#parts.limits.drainMs, resolve);
        }),
        this.closed,
      ]);
      cancel();
    }
    if (this.#isClosed()) return;
    this.#post(frame(frameTypes.close));
    this.#finish(ending, "close");
    await this.#transportClosed;
  }

  #transportClosed: Promise<void> | undefined;

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #destroy(error: ChannelError): void {
    this.#finish(new Ending(error.code, error.message, error), "destroy");
  }

  #finish(ending: Ending, how: "close" | "destroy"): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#ended = ending;
    for (const cancel of Object.values(this.#timers)) cancel?.();
    this.#leave();
    this.#stop?.abort(ending.error);
    const { transport, options } = this.#parts;
    if (how === "close") this.#transportClosed = transport.close();
    else transport.destroy(ending.error);
    if (this.#mux.size > 0) this.#mux.failAll(ending.error);
    const { code, message } = ending;
    options.log.event(code === "closed" ? "info" : "warn", "channel.closed", {
      channel: this.id,
      code,
    });
    this.#resolveClosed({ code, message });
  }
}
