/** The peer's calls and streams to us. */
import { CoreError, type Encodable, type ErrorClass, encode } from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import { frameTypes } from "../frames.ts";
import type { CallContext, Handler } from "../methods.ts";
import { Exchange } from "./exchange.ts";
import { Inbox } from "./inbox.ts";
import type { Wire } from "./mux.ts";
import { pump } from "./pump.ts";
import { ReceiveWindow, SendWindow } from "./window.ts";
import { encodeError, type Opening } from "./wire.ts";

/** What both kinds share: the signal, the deadline, and one end. */
export abstract class Incoming extends Exchange {
  readonly opening: Opening;
  /** Bytes of the request, held against `maxPendingCallBytes`. */
  readonly bytes: number;
  protected readonly wire: Wire;
  readonly #abort = new AbortController();
  readonly #deadline: number | undefined;
  readonly #cancelTimer: (() => void) | undefined;
  #active = true;

  constructor(id: number, wire: Wire, opening: Opening, bytes: number) {
    super(id);
    this.opening = opening;
    this.bytes = bytes;
    this.wire = wire;
    const { timeoutMs } = opening;
    if (timeoutMs > 0) {
      this.#deadline = wire.clock.now() + timeoutMs;
      this.#cancelTimer = wire.clock.after(timeoutMs, () =>
        this.refuse(new ChannelError("timeout", "The call's deadline has passed.")),
      );
    }
  }

  get active(): boolean {
    return this.#active;
  }

  protected context(): CallContext {
    return { signal: this.#abort.signal, peer: this.wire.peer(), deadline: this.#deadline };
  }

  /** Starts the handler, which is there by now. */
  abstract run(handler: Handler): Promise<void>;

  /** Answers with an error and ends. */
  refuse(error: unknown, declared: readonly ErrorClass[] = []): void {
    if (!this.#active) return;
    this.wire.post(frameTypes.error, this.id, encodeError(error, declared));
    this.fail(error);
  }

  override cancel(): void {
    this.fail(new ChannelError("aborted", "The peer cancelled the call."));
  }

  fail(error: unknown): void {
    if (!this.#active) return;
    this.finish();
    this.#abort.abort(error);
  }

  protected finish(): void {
    this.#active = false;
    this.#cancelTimer?.();
    this.wire.remove(this);
  }
}

export class IncomingCall extends Incoming {
  async run(handler: Handler): Promise<void> {
    if (handler.kind !== "call") return this.refuse(wrongKind());
    let response: Uint8Array;
    try {
      response = encode(await handler.run(this.opening.value, this.context()));
      if (response.length > this.wire.limits.maxCallBytes) {
        throw new ChannelError("limit-exceeded", "The response is over the limit of a call.");
      }
    } catch (error) {
      return this.refuse(error, handler.errors);
    }
    if (!this.active) return;
    this.finish();
    await this.wire.send(frameTypes.response, this.id, response).catch(() => undefined);
  }
}

export class IncomingStream extends Incoming {
  readonly #inbox: Inbox;
  readonly #sending = new SendWindow();
  readonly #receiving: ReceiveWindow;
  #dropping = false;

  constructor(id: number, wire: Wire, opening: Opening, bytes: number) {
    super(id, wire, opening, bytes);
    this.#receiving = new ReceiveWindow(wire.limits.streamWindowBytes, (credit) =>
      wire.credit(id, credit),
    );
    this.#inbox = new Inbox(
      (message) => {
        if (this.active) this.#receiving.consumed(message);
      },
      // The handler reads no more; what still comes is dropped and paid for, or its sender stalls.
      () => {
        this.#dropping = true;
      },
    );
  }

  async run(handler: Handler): Promise<void> {
    if (handler.kind !== "stream") return this.refuse(wrongKind());
    this.#receiving.open();
    try {
      const params: Encodable = this.opening.value;
      await pump(handler.run(this.#inbox, { ...this.context(), params }), {
        window: this.#sending,
        maxMessageBytes: this.wire.limits.maxStreamMessageBytes,
        active: () => this.active,
        send: (message) => this.wire.send(frameTypes.data, this.id, message),
      });
    } catch (error) {
      return this.refuse(error, handler.errors);
    }
    if (!this.active) return;
    this.wire.post(frameTypes.end, this.id);
    this.finish();
  }

  override data(message: Uint8Array): void {
    this.#receiving.received(message);
    if (this.#dropping) this.#receiving.consumed(message);
    else this.#inbox.push(message);
  }

  override end(): void {
    this.#inbox.end();
  }

  override credit(bytes: number): void {
    this.#sending.add(bytes);
  }

  override fail(error: unknown): void {
    // First: a handler must not take what came so far for the whole stream.
    this.#inbox.fail(error);
    super.fail(error);
  }

  protected override finish(): void {
    super.finish();
    this.#sending.close();
    this.#inbox.end();
  }
}

function wrongKind(): CoreError {
  return new CoreError("malformed", "A call met a stream's handler, or the reverse.");
}
