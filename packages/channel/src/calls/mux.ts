/** Many calls and streams over one connection. Frames in, frames out; knows nothing of evidence. */
import type { AttestationResult } from "@vivarium/attestation";
import { type Clock, type Encodable, u32 } from "@vivarium/core";
import type { CallLimits } from "../channel-types.ts";
import { ChannelError } from "../errors.ts";
import { exchangeFrame, frameTypes } from "../frames.ts";
import type { ChannelLimits } from "../limits.ts";
import type { CallMethod, Handler, Handlers, StreamMethod } from "../methods.ts";
import type { UnattestedPeer } from "../peer.ts";
import type { Exchange } from "./exchange.ts";
import { type Incoming, IncomingCall, IncomingStream } from "./incoming.ts";
import { OutgoingCall, OutgoingStream } from "./outgoing.ts";
import { decodeOpening } from "./wire.ts";

/** What an exchange may do to the connection. */
export interface Wire {
  readonly clock: Clock;
  readonly limits: ChannelLimits;
  peer(): AttestationResult | UnattestedPeer;
  nextId(): number;
  add(exchange: Exchange): void;
  remove(exchange: Exchange): void;
  /** Waits for the transport. */
  send(type: number, id: number, payload: Uint8Array): Promise<void>;
  /** Small frames that nobody waits for; bounded in sum. */
  post(type: number, id: number, payload?: Uint8Array): void;
  credit(id: number, bytes: number): void;
}

export interface MuxOptions {
  readonly clock: Clock;
  readonly limits: ChannelLimits;
  readonly role: "client" | "server";
  readonly peer: () => AttestationResult | UnattestedPeer;
  readonly send: (parts: readonly Uint8Array[]) => Promise<void>;
  readonly post: (parts: readonly Uint8Array[]) => void;
  /** The last exchange has ended. */
  readonly idle: () => void;
}

const overheadBytes = 1024;

export class Mux implements Wire {
  readonly clock: Clock;
  readonly limits: ChannelLimits;
  readonly #options: MuxOptions;
  readonly #exchanges = new Map<number, Exchange>();
  readonly #handlers = new Map<string, Handler>();
  readonly #held = new Map<Incoming, () => void>();
  #nextId: number;
  #lastPeerId = 0;
  #calls = 0;
  #streams = 0;
  #pendingBytes = 0;
  #accepting = true;

  constructor(options: MuxOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.limits = options.limits;
    this.#nextId = options.role === "client" ? 1 : 2;
  }

  /** Exchanges that have not ended. */
  get size(): number {
    return this.#exchanges.size;
  }

  peer(): AttestationResult | UnattestedPeer {
    return this.#options.peer();
  }

  nextId(): number {
    const id = this.#nextId;
    // Ids are never used twice: a late frame must not reach another call.
    if (id > 0xffff_fff0) throw new ChannelError("limit-exceeded", "The channel has no ids left.");
    this.#nextId += 2;
    return id;
  }

  add(exchange: Exchange): void {
    this.#exchanges.set(exchange.id, exchange);
  }

  remove(exchange: Exchange): void {
    if (!this.#exchanges.delete(exchange.id)) return;
    if (exchange instanceof IncomingCall || exchange instanceof IncomingStream) {
      if (exchange instanceof IncomingCall) this.#calls--;
      else this.#streams--;
      this.#pendingBytes -= exchange.bytes;
      this.#held.get(exchange)?.();
      this.#held.delete(exchange);
    }
    if (this.#exchanges.size === 0) this.#options.idle();
  }

  send(type: number, id: number, payload: Uint8Array): Promise<void> {
    return this.#options.send(exchangeFrame(type, id, payload));
  }

  post(type: number, id: number, payload?: Uint8Array): void {
    this.#options.post(exchangeFrame(type, id, payload));
  }

  credit(id: number, bytes: number): void {
    this.post(frameTypes.credit, id, u32(bytes));
  }

  call<Req extends Encodable, Res extends Encodable>(
    method: CallMethod<Req, Res>,
    request: Req,
    options: CallLimits,
  ): Promise<Res> {
    return new OutgoingCall(this, method, request, options).result;
  }

  stream<Params extends Encodable>(
    method: StreamMethod<Params>,
    outgoing: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: CallLimits & { readonly params?: Params },
  ): AsyncIterableIterator<Uint8Array> {
    return new OutgoingStream(this, method, outgoing, options).inbox;
  }

  serve(handlers: Handlers): () => void {
    for (const handler of handlers) {
      if (this.#handlers.has(handler.name)) {
        throw new ChannelError("protocol", `Method ${handler.name} has a handler already.`);
      }
    }
    for (const handler of handlers) this.#handlers.set(handler.name, handler);
    for (const [incoming, release] of [...this.#held]) {
      const handler = this.#handlers.get(incoming.opening.method);
      if (handler === undefined) continue;
      release();
      this.#held.delete(incoming);
      this.#start(incoming, handler);
    }
    return () => {
      for (const handler of handlers) this.#handlers.delete(handler.name);
    };
  }

  /** Drain: no new calls of the peer. */
  stopAccepting(): void {
    this.#accepting = false;
  }

  failAll(error: unknown): void {
    for (const exchange of [...this.#exchanges.values()]) exchange.fail(error);
  }

  /** Largest body of a frame of a call. */
  limit(type: number): number | undefined {
    switch (type) {
      case frameTypes.open:
      case frameTypes.response:
        return this.limits.maxCallBytes + 4;
      case frameTypes.data:
        return this.limits.maxStreamMessageBytes + 4;
      case frameTypes.error:
        return overheadBytes * 2;
      case frameTypes.credit:
        return 8;
      case frameTypes.end:
      case frameTypes.cancel:
        return 4;
      default:
        return undefined;
    }
  }

  /** @throws ChannelError or CoreError: the channel is destroyed. */
  frame(type: number, body: Uint8Array): void {
    if (body.length < 4) throw new ChannelError("protocol", "A frame of a call has no id.");
    const [a, b, c, d] = body as unknown as [number, number, number, number];
    const id = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    const payload = body.subarray(4);
    if (type === frameTypes.open) {
      this.#open(id, payload);
      return;
    }
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) {
      // Frames of an exchange that ended on our side were on their way; all else is an invention.
      const ours = id % 2 === this.#nextId % 2;
      if (id === 0 || id >= (ours ? this.#nextId : this.#lastPeerId + 1)) {
        throw new ChannelError("protocol", "The peer sent a frame for a call that never was.");
      }
      return;
    }
    switch (type) {
      case frameTypes.data:
        exchange.data(ownPayload(payload));
        return;
      case frameTypes.end:
        exchange.end();
        return;
      case frameTypes.response:
        exchange.response(payload);
        return;
      case frameTypes.error:
        exchange.error(payload);
        return;
      case frameTypes.cancel:
        exchange.cancel();
        return;
      case frameTypes.credit: {
        if (payload.length !== 4) throw new ChannelError("protocol", "Credit has four bytes.");
        const [e, f, g, h] = payload as unknown as [number, number, number, number];
        exchange.credit(((e << 24) | (f << 16) | (g << 8) | h) >>> 0);
        return;
      }
      default:
        throw new ChannelError("protocol", `Frame type ${type} is not of a call.`);
    }
  }

  #open(id: number, payload: Uint8Array): void {
    if (id <= this.#lastPeerId || id % 2 === this.#nextId % 2) {
      throw new ChannelError("protocol", "The peer opened a call with an id that is not its next.");
    }
    this.#lastPeerId = id;
    const opening = decodeOpening(payload, this.limits.maxCallBytes);
    const incoming =
      opening.kind === "call"
        ? new IncomingCall(id, this, opening, payload.length)
        : new IncomingStream(id, this, opening, payload.length);
    this.#exchanges.set(id, incoming);
    if (opening.kind === "call") this.#calls++;
    else this.#streams++;
    this.#pendingBytes += incoming.bytes;
    const handler = this.#handlers.get(opening.method);
    const problem = this.#problem(handler === undefined);
    if (problem !== undefined) incoming.refuse(problem);
    else if (handler === undefined) this.#hold(incoming);
    else this.#start(incoming, handler);
  }

  #problem(unknown: boolean): ChannelError | undefined {
    const { limits } = this;
    if (!this.#accepting) return new ChannelError("closed", "This side is closing the channel.");
    if (
      this.#calls > limits.maxConcurrentCalls ||
      this.#streams > limits.maxConcurrentStreams ||
      this.#pendingBytes > limits.maxPendingCallBytes ||
      (unknown && this.#held.size >= limits.maxHeldCalls)
    ) {
      return new ChannelError("limit-exceeded", "Too many calls at once; call again later.");
    }
    return undefined;
  }

  #hold(incoming: Incoming): void {
    const cancel = this.clock.after(this.limits.heldCallMs, () =>
      incoming.refuse(new ChannelError("timeout", "No handler was registered for this method.")),
    );
    this.#held.set(incoming, cancel);
  }

  #start(incoming: Incoming, handler: Handler): void {
    void incoming.run(handler);
  }
}

/** Small messages are copied: a view would keep the whole chunk it arrived in alive. */
const smallBytes = 4096;

function ownPayload(payload: Uint8Array): Uint8Array {
  const pinned = payload.buffer.byteLength;
  return payload.length < smallBytes && pinned > 2 * payload.length
    ? new Uint8Array(payload)
    : plain(payload);
}

/** Chunks of a socket are `Buffer`s, which our API never shows. */
function plain(payload: Uint8Array): Uint8Array {
  return new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
}
