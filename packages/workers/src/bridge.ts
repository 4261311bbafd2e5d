/**
 * A channel's stream through a MessagePort, so that a thread reads and writes it. Messages of the
 * port, both ways, structured clones:
 *
 * - `{ kind: "data", bytes: Uint8Array }`: one item of the stream; the buffer is transferred.
 * - `{ kind: "credit", count: number }`: so many items more may be sent. Each side starts with none.
 * - `{ kind: "end", error: ErrorRecord | null }`: no more items; with an error the stream failed.
 *
 * Credit is the back-pressure: a slow thread holds at most a window of items.
 */
import type { MessagePort } from "node:worker_threads";
import type { Channel, StreamMethod } from "@vivarium/channel";
import {
  type Encodable,
  type ErrorClass,
  type ErrorRecord,
  fromErrorRecord,
  toErrorRecord,
} from "@vivarium/core";
import { WorkersError, workersErrorClass } from "./errors.ts";

/** Items that may be under way in one direction. */
export const portWindow = 16;

/** Which stream a port carries. */
export type PortSource =
  | {
      /** Opens this stream on the channel. */
      readonly method: StreamMethod;
      readonly params?: Encodable;
      readonly signal?: AbortSignal;
    }
  | {
      /** Connects to a stream that exists: takes what the thread sends, gives what it receives. */
      readonly connect: (outgoing: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
    };

type PortMessage =
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  | { readonly kind: "credit"; readonly count: number }
  | { readonly kind: "end"; readonly error: ErrorRecord | null };

/** A thread's end of a stream. */
export interface StreamPort {
  /** One reader. Throws the stream's error. */
  readonly incoming: AsyncIterable<Uint8Array>;
  /** Moves the item's buffer out of this thread. Resolves when the other side takes more. */
  send(bytes: Uint8Array): Promise<void>;
  /** No more will be sent. */
  end(error?: unknown): void;
  close(): void;
}

/** Opens a port that a release gate gave. */
export function openPort(port: MessagePort, classes: readonly ErrorClass[] = []): StreamPort {
  return new Port(port, classes);
}

/**
 * @internal Only the release gate calls it, after its checks.
 * @param check called for every item: throws once the peer's result is no longer good.
 */
export function bridge(channel: Channel, source: PortSource, check: () => void): MessagePort {
  const { port1, port2 } = new MessageChannel();
  const inside = new Port(port1, []);
  const outgoing = guarded(inside.incoming, check);
  const incoming =
    "connect" in source
      ? source.connect(outgoing)
      : channel.stream(source.method, outgoing, {
          ...(source.params === undefined ? {} : { params: source.params }),
          ...(source.signal === undefined ? {} : { signal: source.signal }),
        });
  void pump(incoming, inside, check);
  void channel.closed.then((closed) => {
    inside.end(new WorkersError("aborted", `The channel has closed: ${closed.code}.`));
    inside.close();
  });
  return port2;
}

async function* guarded(items: AsyncIterable<Uint8Array>, check: () => void) {
  for await (const item of items) {
    check();
    yield item;
  }
}

async function pump(
  incoming: AsyncIterable<Uint8Array>,
  port: StreamPort,
  check: () => void,
): Promise<void> {
  try {
    for await (const item of incoming) {
      check();
      // The channel owns its buffers, and may have put several items into one: a copy moves.
      await port.send(item.slice());
    }
    port.end();
  } catch (error) {
    port.end(error);
  }
}

class Port implements StreamPort {
  readonly incoming: AsyncIterable<Uint8Array>;
  readonly #port: MessagePort;
  readonly #classes: readonly ErrorClass[];
  readonly #held: Uint8Array[] = [];
  #credit = 0;
  #sent = false;
  #ended: { readonly error: ErrorRecord | null } | undefined;
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor(port: MessagePort, classes: readonly ErrorClass[]) {
    this.#port = port;
    this.#classes = [...classes, workersErrorClass];
    this.incoming = { [Symbol.asyncIterator]: () => this.#read() };
    port.on("message", (message: unknown) => this.#receive(message));
    port.on("close", () => {
      this.#closed = true;
      this.#wake();
    });
    this.#post({ kind: "credit", count: portWindow });
  }

  async send(bytes: Uint8Array): Promise<void> {
    while (this.#credit === 0 && !this.#closed && !this.#sent) await this.#change();
    if (this.#closed || this.#sent) {
      throw new WorkersError("aborted", "The port is closed; nothing more can be sent.");
    }
    this.#credit -= 1;
    const whole = bytes.byteLength === bytes.buffer.byteLength ? bytes : bytes.slice();
    this.#post({ kind: "data", bytes: whole }, [whole.buffer as ArrayBuffer]);
  }

  end(error?: unknown): void {
    if (this.#sent) return;
    this.#sent = true;
    const record = error === undefined ? null : toErrorRecord(error, "The stream failed.");
    this.#post({ kind: "end", error: record });
    this.#wake();
    this.#closeIfDone();
  }

  close(): void {
    this.#closed = true;
    this.#port.close();
    this.#wake();
  }

  #post(message: PortMessage, transfer: ArrayBuffer[] = []): void {
    if (!this.#closed) this.#port.postMessage(message, transfer);
  }

  #receive(message: unknown): void {
    const read = readMessage(message);
    // After its end the other side still reads, and says so with credit; it sends no more.
    if (read === undefined || (this.#ended !== undefined && read.kind !== "credit")) {
      this.close();
      return;
    }
    if (read.kind === "credit") {
      this.#credit += read.count;
      if (this.#credit > portWindow) this.close();
    } else if (read.kind === "data") {
      this.#held.push(read.bytes);
      // More than the credit given: the other side does not keep to the window.
      if (this.#held.length > portWindow) this.close();
    } else {
      this.#ended = { error: read.error };
    }
    this.#wake();
    this.#closeIfDone();
  }

  async *#read(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const item = this.#held.shift();
      if (item !== undefined) {
        this.#post({ kind: "credit", count: 1 });
        yield item;
      } else if (this.#ended !== undefined) {
        if (this.#ended.error !== null) throw fromErrorRecord(this.#ended.error, this.#classes);
        return;
      } else if (this.#closed) {
        throw new WorkersError("aborted", "The port was closed before the stream ended.");
      } else {
        await this.#change();
      }
    }
  }

  #closeIfDone(): void {
    if (this.#sent && this.#ended !== undefined) this.#port.close();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) resume();
  }
}

function readMessage(value: unknown): PortMessage | undefined {
  if (typeof value !== "object" || value === null || !("kind" in value)) return undefined;
  if (value.kind === "data" && "bytes" in value && value.bytes instanceof Uint8Array) {
    return { kind: "data", bytes: value.bytes };
  }
  if (value.kind === "credit" && "count" in value && typeof value.count === "number") {
    const { count } = value;
    return Number.isSafeInteger(count) && count > 0 ? { kind: "credit", count } : undefined;
  }
  if (value.kind === "end" && "error" in value) {
    const { error } = value;
    if (error === null) return { kind: "end", error: null };
    if (typeof error === "object" && "domain" in error && "code" in error && "message" in error) {
      return { kind: "end", error: error as ErrorRecord };
    }
  }
  return undefined;
}
