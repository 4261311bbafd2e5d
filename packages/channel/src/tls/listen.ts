/** The server end: accepts TLS transports, within limits that hold before anything is proven. */
import type { AddressInfo, Socket } from "node:net";
import { createServer } from "node:tls";
import { type Clock, type Log, silentLog } from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { connectionOptions, contextOptions } from "./context.ts";
import { secretsOf, type TlsIdentity } from "./identity.ts";
import { AddressRate } from "./rate.ts";
import { TlsTransport } from "./socket.ts";

export interface ListenerLimits {
  /** TCP connections that have not finished the TLS handshake. */
  readonly maxTlsHandshakes: number;
  /** Time of one TLS handshake: a slow-loris client lives this long at most. */
  readonly tlsHandshakeTimeoutMs: number;
  /** Connections open at the same time, attested or not. */
  readonly maxConnections: number;
  /** Transports that wait to be accepted. */
  readonly maxWaiting: number;
  /** New connections of one address (IPv6: of one /64) in a minute. */
  readonly maxConnectionsPerMinute: number;
  /** Addresses remembered for that. */
  readonly maxAddresses: number;
}

export const defaultListenerLimits: ListenerLimits = {
  maxTlsHandshakes: 128,
  tlsHandshakeTimeoutMs: 10_000,
  maxConnections: 1_024,
  maxWaiting: 128,
  maxConnectionsPerMinute: 600,
  maxAddresses: 10_000,
};

export interface ListenTlsOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly key: TlsIdentity;
  readonly clock: Clock;
  readonly log?: Log;
  readonly limits?: Partial<ListenerLimits>;
}

export interface TlsListener extends AsyncDisposable {
  readonly port: number;
  readonly address: string;
  /** Transports in order of arrival, until {@link close}. */
  accept(): AsyncIterableIterator<Transport>;
  /** Stops listening; transports handed out live on, waiting ones are destroyed. */
  close(): Promise<void>;
}

/** @throws ChannelError `connection-failed` if the address cannot be had. */
export async function listenTls(options: ListenTlsOptions): Promise<TlsListener> {
  const limits = { ...defaultListenerLimits, ...options.limits };
  const log = options.log ?? silentLog;
  const { cert, key: privateKey } = secretsOf(options.key);
  const rate = new AddressRate(options.clock, limits);
  const pending = new Set<Socket>();
  const open = new Set<Socket>();
  const waiting: Transport[] = [];
  const takers: ((transport: Transport | undefined) => void)[] = [];
  let closed = false;

  const server = createServer({
    ...contextOptions,
    ...connectionOptions,
    cert,
    key: privateKey,
    requestCert: true,
    // Behind our own timer below, which says what it was: at the same moment either could be first.
    handshakeTimeout: 2 * limits.tlsHandshakeTimeoutMs,
  });
  const drop = (socket: Socket, reason: string): void => {
    log.event("warn", "channel.connection-refused", { reason });
    socket.destroy();
  };
  server.on("connection", (socket: Socket) => {
    socket.on("error", () => {});
    if (!rate.admit(socket.remoteAddress ?? "")) return drop(socket, "rate");
    if (pending.size >= limits.maxTlsHandshakes) return drop(socket, "tls-handshakes");
    if (open.size >= limits.maxConnections) return drop(socket, "connections");
    pending.add(socket);
    open.add(socket);
    // Independent of Node's handshakeTimeout, which stops once the first record is in some cases.
    const timer = setTimeout(() => {
      if (pending.has(socket)) drop(socket, "tls-timeout");
    }, limits.tlsHandshakeTimeoutMs);
    timer.unref();
    socket.once("close", () => {
      clearTimeout(timer);
      pending.delete(socket);
      open.delete(socket);
    });
  });
  server.on("tlsClientError", (_error, socket) => drop(socket, "tls"));
  server.on("secureConnection", (socket) => {
    socket.pause();
    socket.on("error", () => {});
    for (const raw of pending) {
      if (raw.remotePort === socket.remotePort && raw.remoteAddress === socket.remoteAddress) {
        pending.delete(raw);
      }
    }
    if (closed) return drop(socket, "closed");
    let transport: TlsTransport;
    try {
      transport = new TlsTransport("server", socket, options.key.spki);
    } catch (error) {
      return drop(socket, error instanceof ChannelError ? error.message : "tls");
    }
    const taker = takers.shift();
    if (taker !== undefined) taker(transport);
    else if (waiting.length < limits.maxWaiting) waiting.push(transport);
    else drop(socket, "waiting");
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new ChannelError(
          "connection-failed",
          `Cannot listen on ${options.host}: ${cause.message}`,
          {
            cause,
          },
        ),
      ),
    );
    server.listen(options.port, options.host, resolve);
  });
  server.on("error", () => log.event("error", "channel.listener-failed"));
  const bound = server.address() as AddressInfo;

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    for (const taker of takers.splice(0)) taker(undefined);
    for (const transport of waiting.splice(0)) transport.destroy();
    for (const socket of pending) socket.destroy();
    // Not awaited: it would wait for the connections that were handed out.
    server.close();
  };
  return {
    port: bound.port,
    address: bound.address,
    async *accept() {
      for (;;) {
        const transport =
          waiting.shift() ??
          (closed
            ? undefined
            : await new Promise<Transport | undefined>((resolve) => takers.push(resolve)));
        if (transport === undefined) return;
        yield transport;
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
