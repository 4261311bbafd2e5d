/** The client end of a TLS transport. */
import { connect, type TLSSocket } from "node:tls";
import { ChannelError } from "../errors.ts";
import type { Transport } from "../transport.ts";
import { connectionOptions } from "./context.ts";
import { secretsOf, type TlsIdentity } from "./identity.ts";
import { TlsTransport } from "./socket.ts";

export interface ConnectTlsOptions {
  readonly host: string;
  readonly port: number;
  readonly key: TlsIdentity;
  readonly signal?: AbortSignal;
  /** Of the TCP connection and the TLS handshake together. 10,000 by default. */
  readonly timeoutMs?: number;
}

/**
 * Connects. The transport proves possession of a key by the peer and nothing else: hand it to an
 * endpoint. @throws ChannelError `connection-failed`, `timeout` or `aborted`.
 */
export async function connectTls(options: ConnectTlsOptions): Promise<Transport> {
  const { host, port, key, signal, timeoutMs = 10_000 } = options;
  const address = `${host}:${port}`;
  if (signal?.aborted === true) throw aborted(address, signal.reason);
  const { context: secureContext } = secretsOf(key);
  return await new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ ...connectionOptions, secureContext, host, port });
    const finish = (error: ChannelError | undefined): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.removeAllListeners("error");
      if (error !== undefined) {
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      }
    };
    const onAbort = (): void => finish(aborted(address, signal?.reason));
    const timer = setTimeout(
      () => finish(new ChannelError("timeout", `No TLS connection to ${address} in time.`)),
      timeoutMs,
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("error", (cause) =>
      finish(
        new ChannelError("connection-failed", `Cannot connect to ${address}: ${cause.message}`, {
          cause,
        }),
      ),
    );
    socket.once("secureConnect", () => {
      socket.pause();
      try {
        finish(undefined);
        resolve(new TlsTransport("client", socket, key.spki));
      } catch (error) {
        socket.on("error", () => {});
        socket.destroy();
        reject(error);
      }
    });
  });
}

function aborted(address: string, cause: unknown): ChannelError {
  return new ChannelError("aborted", `Connecting to ${address} was cancelled.`, { cause });
}
