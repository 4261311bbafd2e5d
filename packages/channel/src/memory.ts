/**
 * Two ends in one process, with the interface of TLS: keys, an exporter that only these two ends
 * share, ordered bytes, back-pressure. Nothing is encrypted; for tests and examples.
 */
import { createHmac } from "node:crypto";
import { concat, lengthPrefixed, systemRandom } from "@vivarium/core";
import { ChannelError } from "./errors.ts";
import type { Transport, TransportConsumer } from "./transport.ts";

/** Bytes in flight before `send` waits. */
const highWaterBytes = 1024 * 1024;

export interface MemoryTransportOptions {
  /** Keys of the ends, SubjectPublicKeyInfo DER: `keys.tls` of their statements. */
  readonly clientKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

/** A connected pair: client, server. */
export function memoryTransportPair(options: MemoryTransportOptions): [Transport, Transport] {
  const secret = systemRandom().bytes(32);
  const client = new MemoryTransport("client", options.clientKey, options.serverKey, secret);
  const server = new MemoryTransport("server", options.serverKey, options.clientKey, secret);
  client.connect(server);
  server.connect(client);
  return [client, server];
}

class MemoryTransport implements Transport {
  readonly role: "client" | "server";
  readonly localKey: Uint8Array;
  readonly peerKey: Uint8Array;
  readonly #secret: Uint8Array;
  #other: MemoryTransport | undefined;
  #consumer: TransportConsumer | undefined;
  #queue: Uint8Array[] = [];
  #queued = 0;
  #delivering = false;
  #drained: (() => void)[] = [];
  #closed = false;
  #ended: { readonly error: Error | undefined } | undefined;

  constructor(
    role: "client" | "server",
    localKey: Uint8Array,
    peerKey: Uint8Array,
    secret: Uint8Array,
  ) {
    this.role = role;
    this.localKey = localKey;
    this.peerKey = peerKey;
    this.#secret = secret;
  }

  connect(other: MemoryTransport): void {
    this.#other = other;
  }

  exportKey(label: string, context: Uint8Array, length: number): Uint8Array {
    const blocks: Uint8Array[] = [];
    for (let i = 0; i * 32 < length; i++) {
      const mac = createHmac("sha256", this.#secret);
      mac.update(lengthPrefixed(label, context, new Uint8Array([i])));
      blocks.push(new Uint8Array(mac.digest()));
    }
    return concat(...blocks).subarray(0, length);
  }

  async send(parts: readonly Uint8Array[]): Promise<void> {
    const other = this.#other;
    if (this.#closed || other === undefined || other.#closed) {
      throw new ChannelError("connection-failed", "The in-memory connection is closed.");
    }
    other.#queue.push(concat(...parts));
    other.#queued += parts.reduce((sum, { length }) => sum + length, 0);
    other.#deliver();
    if (other.#queued >= highWaterBytes) {
      await new Promise<void>((resolve) => other.#drained.push(resolve));
      if (this.#closed) throw new ChannelError("connection-failed", "The connection was closed.");
    }
  }

  receive(consumer: TransportConsumer): void {
    this.#consumer = consumer;
    this.#deliver();
  }

  /** Delivers in later turns of the event loop, as a socket does. */
  #deliver(): void {
    if (this.#delivering || this.#consumer === undefined) return;
    this.#delivering = true;
    setImmediate(() => void this.#drain());
  }

  async #drain(): Promise<void> {
    const consumer = this.#consumer;
    for (;;) {
      const chunk = this.#queue.shift();
      if (chunk === undefined || consumer === undefined) break;
      this.#queued -= chunk.length;
      const held = consumer.data(chunk);
      if (held !== undefined) await held;
      if (this.#queued < highWaterBytes) for (const wake of this.#drained.splice(0)) wake();
    }
    this.#delivering = false;
    if (this.#ended !== undefined && consumer !== undefined) {
      const { error } = this.#ended;
      this.#consumer = undefined;
      consumer.end(error);
    }
  }

  async close(): Promise<void> {
    this.#shut(undefined);
  }

  destroy(error?: Error): void {
    this.#shut(error);
  }

  #shut(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const end of [this, this.#other]) {
      if (end === undefined) continue;
      end.#ended ??= { error: end === this ? error : undefined };
      for (const wake of end.#drained.splice(0)) wake();
      end.#deliver();
    }
  }
}
