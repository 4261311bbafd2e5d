/** Our calls and streams to the peer. */
import { decode, type Encodable, type ErrorClass } from "@vivarium/core";
import type { CallLimits } from "../channel-types.ts";
import { ChannelError } from "../errors.ts";
import { frameTypes } from "../frames.ts";
import type { CallMethod, StreamMethod } from "../methods.ts";
import { Exchange } from "./exchange.ts";
import { Inbox } from "./inbox.ts";
import type { Wire } from "./mux.ts";
import { pump } from "./pump.ts";
import { ReceiveWindow, SendWindow } from "./window.ts";
import { decodeError, encodeOpening, valueLimits } from "./wire.ts";

/** Cancels on abort and deadline, and stops watching when the exchange is over. */
class Watch {
  readonly #end: (() => void)[] = [];

  constructor(wire: Wire, options: CallLimits, stop: (error: ChannelError) => void) {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined) {
      this.#end.push(
        wire.clock.after(timeoutMs, () =>
          stop(new ChannelError("timeout", `No answer within ${timeoutMs} ms.`)),
        ),
      );
    }
    if (signal !== undefined) {
      const abort = (): void =>
        stop(new ChannelError("aborted", "The call was cancelled.", { cause: signal.reason }));
      signal.addEventListener("abort", abort, { once: true });
      this.#end.push(() => signal.removeEventListener("abort", abort));
    }
  }

  end(): void {
    for (const stop of this.#end.splice(0)) stop();
  }
}

function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new ChannelError("aborted", "The call was cancelled.", { cause: signal.reason });
  }
}

function openingBytes(
  wire: Wire,
  kind: "call" | "stream",
  method: string,
  value: Encodable,
  options: CallLimits,
): Uint8Array {
  const timeoutMs = Math.max(0, Math.ceil(options.timeoutMs ?? 0));
  const bytes = encodeOpening({ kind, method, timeoutMs, value });
  if (bytes.length > wire.limits.maxCallBytes) {
    throw new ChannelError(
      "limit-exceeded",
      `The request has ${bytes.length} bytes, over the limit of ${wire.limits.maxCallBytes}.`,
    );
  }
  return bytes;
}

export class OutgoingCall<Req extends Encodable, Res extends Encodable> extends Exchange {
  readonly result: Promise<Res>;
  readonly #wire: Wire;
  readonly #method: CallMethod<Req, Res>;
  readonly #watch: Watch;
  #resolve: (value: Res) => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(wire: Wire, method: CallMethod<Req, Res>, request: Req, options: CallLimits) {
    refuseAborted(options.signal);
    const opening = openingBytes(wire, "call", method.name, request, options);
    super(wire.nextId());
    this.#wire = wire;
    this.#method = method;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    wire.add(this);
    this.#watch = new Watch(wire, options, (error) => {
      wire.post(frameTypes.cancel, this.id);
      this.fail(error);
    });
    wire.post(frameTypes.open, this.id, opening);
  }

  override response(body: Uint8Array): void {
    this.#finish();
    try {
      const value = decode(body, valueLimits(this.#wire.limits.maxCallBytes));
      this.#resolve(this.#method.parseResponse(value));
    } catch (error) {
      this.#reject(error);
    }
  }

  override error(body: Uint8Array): void {
    this.fail(decodeError(body, this.#method.errors));
  }

  fail(error: unknown): void {
    this.#finish();
    this.#reject(error);
  }

  #finish(): void {
    this.#watch.end();
    this.#wire.remove(this);
  }
}

export class OutgoingStream<Params extends Encodable> extends Exchange {
  readonly inbox: Inbox;
  readonly #wire: Wire;
  readonly #errors: readonly ErrorClass[];
  readonly #sending = new SendWindow();
  readonly #receiving: ReceiveWindow;
  readonly #watch: Watch;
  #active = true;

  constructor(
    wire: Wire,
    method: StreamMethod<Params>,
    outgoing: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    options: CallLimits & { readonly params?: Params },
  ) {
    refuseAborted(options.signal);
    const opening = openingBytes(wire, "stream", method.name, options.params ?? null, options);
    super(wire.nextId());
    this.#wire = wire;
    this.#errors = method.errors;
    this.#receiving = new ReceiveWindow(wire.limits.streamWindowBytes, (bytes) =>
      wire.credit(this.id, bytes),
    );
    this.inbox = new Inbox(
      (message) => {
        if (this.#active) this.#receiving.consumed(message);
      },
      () => this.#cancel(new ChannelError("aborted", "The consumer left the stream.")),
    );
    wire.add(this);
    this.#watch = new Watch(wire, options, (error) => this.#cancel(error));
    wire.post(frameTypes.open, this.id, opening);
    this.#receiving.open();
    void this.#pump(outgoing);
  }

  async #pump(outgoing: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
    try {
      await pump(outgoing, {
        window: this.#sending,
        maxMessageBytes: this.#wire.limits.maxStreamMessageBytes,
        active: () => this.#active,
        send: (message) => this.#wire.send(frameTypes.data, this.id, message),
      });
      if (this.#active) this.#wire.post(frameTypes.end, this.id);
    } catch (error) {
      this.#cancel(error);
    }
  }

  #cancel(error: unknown): void {
    if (!this.#active) return;
    this.#wire.post(frameTypes.cancel, this.id);
    this.fail(error);
  }

  override data(message: Uint8Array): void {
    this.#receiving.received(message);
    this.inbox.push(message);
  }

  /** The peer's handler has ended: so has the stream. */
  override end(): void {
    this.#finish();
    this.inbox.end();
  }

  override credit(bytes: number): void {
    this.#sending.add(bytes);
  }

  override error(body: Uint8Array): void {
    this.fail(decodeError(body, this.#errors));
  }

  fail(error: unknown): void {
    this.#finish();
    this.inbox.fail(error);
  }

  #finish(): void {
    this.#active = false;
    this.#sending.close();
    this.#watch.end();
    this.#wire.remove(this);
  }
}
