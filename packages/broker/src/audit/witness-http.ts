/**
 * The HTTP of tlog-witness, both ends. Nothing secret crosses, and everything is signed: plain HTTP is as
 * good as TLS, but for who learns the size of the log.
 */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { type Crypto, concat, fromUtf8, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import type { AuditLog } from "./log.ts";
import { type NoteKey, openCheckpoint } from "./note.ts";
import type { LogReader } from "./read.ts";
import { encodeWitnessRequest, type Witness } from "./witness.ts";

const maxBodyBytes = 128 * 1024;
const path = "/add-checkpoint";

export interface WitnessServer extends AsyncDisposable {
  readonly port: number;
  close(): Promise<void>;
}

/** @throws BrokerError `unavailable` if the address cannot be had. */
export async function serveWitness(options: {
  readonly witness: Witness;
  readonly host: string;
  readonly port: number;
}): Promise<WitnessServer> {
  const server = createServer(
    { requestTimeout: 10_000, headersTimeout: 10_000, connectionsCheckingInterval: 1_000 },
    (request, response) => {
      const answer = async (): Promise<{ status: number; body: string }> => {
        if (request.method !== "POST" || request.url !== path) return { status: 404, body: "" };
        const body = await read(request);
        return body === undefined
          ? { status: 413, body: "" }
          : await options.witness.addCheckpoint(body);
      };
      answer()
        .catch(() => ({ status: 500, body: "" }))
        .then(({ status, body }) => {
          const type = status === 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8";
          response.writeHead(status, {
            "Content-Type": type,
            "Content-Length": Buffer.byteLength(body),
            ...(request.complete ? {} : { Connection: "close" }),
          });
          response.end(body);
        })
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      const where = `${options.host}:${options.port}`;
      reject(new BrokerError("unavailable", `Cannot listen on ${where}.`, { cause }));
    });
    server.listen(options.port, options.host, resolve);
  });
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeIdleConnections();
    });
  };
  const { port } = server.address() as AddressInfo;
  return { port, close, [Symbol.asyncDispose]: close };
}

async function read(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > maxBodyBytes) return undefined;
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

export interface AskWitnessOptions {
  /** Submission prefix of the witness. */
  readonly url: string;
  /** Its key, `witness`. */
  readonly key: NoteKey;
  readonly log: AuditLog;
  /** The log as it is now, verified. */
  readonly reader: () => Promise<LogReader>;
  readonly crypto: Crypto;
  /** Of one request. Default 10,000. */
  readonly timeoutMs?: number;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
}

/**
 * Has the newest checkpoint cosigned, and learns whether the log is what the witness has seen of it.
 * @returns how many entries the witness has cosigned now.
 * @throws BrokerError `rolled-back` if the witness has seen more than there is, `forked` if something
 * else, `unavailable` if it does not answer, `not-genuine` if another key does.
 */
export async function askWitness(options: AskWitnessOptions): Promise<number> {
  const { key, log, crypto } = options;
  const reader = await options.reader();
  const { checkpoint, note } = reader;
  const { size } = checkpoint;
  const post = (old: number, proof: readonly Uint8Array[]): Promise<Reply> =>
    send(options, encodeWitnessRequest(old, proof, note));
  // "If a client has no information on the latest checkpoint, it may request with size zero."
  let reply = await post(0, []);
  if (reply.status === 409) {
    const seen = /^(0|[1-9]\d{0,15})\n$/.exec(reply.body)?.[1];
    if (seen === undefined) throw unavailable(options, "gave no size");
    if (Number(seen) > size) {
      throw new BrokerError(
        "rolled-back",
        `The witness ${key.name} has seen ${seen} entries of this log; there are ${size}.`,
      );
    }
    reply = await post(Number(seen), await reader.consistency(Number(seen)));
    if (reply.status === 409 || reply.status === 422) {
      throw new BrokerError(
        "forked",
        `The log of ${size} entries does not continue the ${seen} that ${key.name} has seen.`,
      );
    }
  }
  if (reply.status !== 200) throw unavailable(options, `answers with ${reply.status}`);
  // Believed only under the key that was named: anybody can answer 200.
  const trust = { log: log.key, witnesses: [key], quorum: 1 };
  await openCheckpoint(crypto, concat(note, utf8(reply.body)), trust);
  await log.addCosignatures(size, reply.body);
  return size;
}

interface Reply {
  readonly status: number;
  readonly body: string;
}

async function send(options: AskWitnessOptions, body: Uint8Array): Promise<Reply> {
  const { url, fetch = globalThis.fetch, timeoutMs = 10_000 } = options;
  try {
    const response = await fetch(`${url.replace(/\/$/, "")}${path}`, {
      method: "POST",
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
      body: new Uint8Array(body),
    });
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of response.body ?? []) {
      length += part.length;
      if (length > maxBodyBytes) throw unavailable(options, "answers too much");
      parts.push(part);
    }
    const text = fromUtf8(new Uint8Array(Buffer.concat(parts)));
    return { status: response.status, body: text };
  } catch (cause) {
    if (cause instanceof BrokerError) throw cause;
    throw unavailable(options, "does not answer", cause);
  }
}

function unavailable(options: AskWitnessOptions, what: string, cause?: unknown): BrokerError {
  return new BrokerError("unavailable", `The witness ${options.key.name} ${what}.`, { cause });
}
