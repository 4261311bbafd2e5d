/** A TLS socket as a {@link Transport}, after the checks that Node leaves to its user. */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { concat, equalBytes, fromHex } from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import type { Transport, TransportConsumer } from "../transport.ts";
import { alpnProtocol } from "./context.ts";

const p256Prefix = fromHex("3059301306072a8648ce3d020106082a8648ce3d03010703420004");
const p256SpkiBytes = 91;

/**
 * The peer's key. `getPeerX509Certificate` is the certificate OpenSSL has verified possession of;
 * `new X509Certificate(der)` would look for PEM *inside* the DER first, so that a hostile extension
 * could make it return somebody else's certificate.
 * @throws ChannelError `connection-failed`: version, ALPN, resumption, certificate or key type.
 */
export function checkTls(socket: TLSSocket): Uint8Array {
  const fail = (message: string): never => {
    throw new ChannelError("connection-failed", `The TLS peer was refused: ${message}.`);
  };
  if (socket.getProtocol() !== "TLSv1.3") fail("it does not speak TLS 1.3");
  // Node accepts peers that offer no ALPN at all.
  if (socket.alpnProtocol !== alpnProtocol) fail(`it does not speak ${alpnProtocol}`);
  // A resumed session has no peer certificate and another exporter.
  if (socket.isSessionReused()) fail("its session is resumed");
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return fail("it has no certificate");
  const spki = keyOf(certificate);
  // The whole DER but the point itself: another algorithm, curve or encoding cannot look like it.
  if (
    spki.length !== p256SpkiBytes ||
    !equalBytes(spki.subarray(0, p256Prefix.length), p256Prefix)
  ) {
    fail("its key is not of the curve P-256");
  }
  return spki;
}

/** Keys that are kept by certificate: a peer comes back with the same one as long as it lives. */
const maxKnownCertificates = 256;
const knownKeys = new Map<string, Uint8Array>();

/** SubjectPublicKeyInfo of a certificate; exporting it costs more than finding it again. */
function keyOf(certificate: X509Certificate): Uint8Array {
  const der = certificate.raw.toString("latin1");
  const spki =
    knownKeys.get(der) ??
    new Uint8Array(certificate.publicKey.export({ format: "der", type: "spki" }));
  knownKeys.delete(der);
  // The least recently used goes: a stream of strangers must not grow it.
  if (knownKeys.size >= maxKnownCertificates) {
    knownKeys.delete(knownKeys.keys().next().value as string);
  }
  knownKeys.set(der, spki);
  return spki;
}

/** Bytes that may wait in the socket before `send` does. */
const highWaterBytes = 1024 * 1024;
/** After `close`, how long the peer may take to read the rest. */
const lingerMs = 2_000;
const ready = Promise.resolve();

/** Up to this many bytes it is cheaper to join the parts than to write each. */
const maxJoinedBytes = 4096;

/** The parts in one buffer, or undefined if they are too big to be copied. */
function smallPacket(parts: readonly Uint8Array[]): Uint8Array | undefined {
  if (parts.length === 1) return parts[0];
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes <= maxJoinedBytes ? concat(...parts) : undefined;
}

export class TlsTransport implements Transport {
  readonly role: "client" | "server";
  readonly localKey: Uint8Array;
  readonly peerKey: Uint8Array;
  /** Address of the peer, for logs. */
  readonly remoteAddress: string;
  readonly #socket: TLSSocket;
  #error: Error | undefined;
  #drain: Promise<void> | undefined;
  #received = false;

  /** Checks the socket first. @throws ChannelError `connection-failed`. */
  constructor(role: "client" | "server", socket: TLSSocket, localKey: Uint8Array) {
    this.peerKey = checkTls(socket);
    this.role = role;
    this.localKey = localKey;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", (error) => {
      this.#error ??= error;
    });
  }

  exportKey(label: string, context: Uint8Array, length: number): Uint8Array {
    return new Uint8Array(this.#socket.exportKeyingMaterial(length, label, Buffer.from(context)));
  }

  send(parts: readonly Uint8Array[]): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return Promise.reject(this.#broken());
    const small = smallPacket(parts);
    if (small !== undefined) socket.write(small);
    else {
      socket.cork();
      for (const part of parts) socket.write(part);
      socket.uncork();
    }
    if (socket.writableLength < highWaterBytes) return ready;
    this.#drain ??= new Promise((resolve, reject) => {
      const done = (): void => {
        socket.off("drain", done);
        socket.off("close", done);
        this.#drain = undefined;
        if (socket.destroyed) reject(this.#broken());
        else resolve();
      };
      socket.on("drain", done);
      socket.on("close", done);
    });
    return this.#drain;
  }

  #broken(): ChannelError {
    return new ChannelError("connection-failed", "The connection is closed.", {
      ...(this.#error === undefined ? {} : { cause: this.#error }),
    });
  }

  receive(consumer: TransportConsumer): void {
    if (this.#received) throw new ChannelError("protocol", "A transport has one consumer.");
    this.#received = true;
    const socket = this.#socket;
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      consumer.end(this.#error);
    };
    socket.on("data", (chunk: Uint8Array) => {
      const held = consumer.data(chunk);
      if (held === undefined) return;
      socket.pause();
      void held.finally(() => socket.resume());
    });
    socket.on("end", end);
    socket.on("close", end);
    if (socket.destroyed) end();
    else socket.resume();
  }

  async close(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      timer.unref();
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.end();
      // Reads on, so that the peer's end of the stream is seen and no reset overtakes our last bytes.
      socket.resume();
    });
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }
}
