/**
 * The key broker's HTTP face, as CoCo's clients expect it: `/kbs/v0/auth`, `/attest`, `/resource/…`. What
 * goes wrong is told in the log and the audit log; a peer that has proven nothing hears little.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import {
  type Collateral,
  createInstanceAppraiser,
  type Revocations,
  type Verifier,
} from "@vivarium/attestation";
import {
  type Clock,
  type Crypto,
  type Log,
  type Random,
  type Signer,
  silentLog,
  VivariumError,
} from "@vivarium/core";
import type { Broker } from "../broker.ts";
import { BrokerError } from "../errors.ts";
import { parseObject } from "./json.ts";
import { createRate } from "./rate.ts";
import { createSessions, type Session } from "./sessions.ts";
import { issueToken, sessionOfToken } from "./token.ts";
import { parseAttestation, parseRequest } from "./wire.ts";

export interface KbsOptions {
  readonly broker: Broker;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** PEM. Clients pin the key. */
  readonly tls: { readonly cert: string; readonly key: string };
  /** Signs tokens; dies with the process, as its sessions do. */
  readonly signer: Signer;
  readonly verifiers: readonly Verifier[];
  readonly collateral: () => Collateral;
  readonly revocations?: Revocations;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  /** What happened, never what was in it. */
  readonly log?: Log;
}

export interface KbsServer extends AsyncDisposable {
  readonly port: number;
  /** Stops admitting, finishes what runs, then closes. */
  close(): Promise<void>;
}

export const kbsLimits: Readonly<
  Record<
    | "maxBodyBytes"
    | "maxHeaderBytes"
    | "maxConnections"
    | "challengesPerMinute"
    | "maxVerifications"
    | "requestTimeoutMs",
    number
  >
> = {
  /** Bytes of a request's body. */
  maxBodyBytes: 1024 * 1024,
  /** Bytes of a request's header: a token is in it. */
  maxHeaderBytes: 80 * 1024,
  /** Connections at a time. */
  maxConnections: 1_024,
  /** Challenges of one address (IPv6: of one /64) in a minute. */
  challengesPerMinute: 120,
  /** Pieces of evidence that are verified at a time; more are turned away. */
  maxVerifications: 8,
  /** Milliseconds for a request as a whole. */
  requestTimeoutMs: 15_000,
};

const base = "/kbs/v0";
const cookieName = "kbs-session-id";

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly cookie?: string;
}

/** @throws BrokerError `unavailable` if the address cannot be had. */
export async function serveKbs(options: KbsOptions): Promise<KbsServer> {
  const { broker, crypto, clock, signer } = options;
  const sessions = createSessions(clock, options.random);
  const rate = createRate(clock, kbsLimits.challengesPerMinute);
  const appraiser = createInstanceAppraiser(options);
  const log = options.log ?? silentLog;
  let verifying = 0;

  const auth = async (request: IncomingMessage): Promise<Answer> => {
    if (!rate.admit(request.socket.remoteAddress ?? "")) {
      log.event("warn", "broker.limited", { limit: "challenges" });
      return problem(429, "TooManyRequests", "Too many challenges; try again in a minute.");
    }
    const session = sessions.open(parseRequest(parseObject(await bodyOf(request))));
    return { status: 200, body: { nonce: session.nonce, "extra-params": "" }, cookie: session.id };
  };

  const attest = async (request: IncomingMessage): Promise<Answer> => {
    const session = sessions.find(cookieOf(request));
    if (session === undefined || session.state !== "challenged") return unauthenticated();
    if (verifying >= kbsLimits.maxVerifications) {
      log.event("warn", "broker.limited", { limit: "verifications" });
      return problem(503, "Busy", "Too much evidence at a time; try again.");
    }
    verifying += 1;
    // From here on the challenge is used up, whatever comes of it.
    session.state = "attesting";
    try {
      const message = parseObject(await bodyOf(request));
      const parsed = await parseAttestation(crypto, message, session.tee, session.nonce);
      const { key, reportData, recognised } = parsed;
      const evidence = await appraiser.verify({
        evidence: recognised.evidence,
        collateral: { ...recognised.collateral, ...options.collateral() },
        reportData,
        keyDigest: key.digest,
      });
      session.attested = { evidence, key };
      session.state = "attested";
      log.event("info", "broker.attested", { tee: evidence.tee });
      return { status: 200, body: { token: await issueToken(session, signer, clock) } };
    } catch (error) {
      log.event("warn", "broker.attestation-refused", { code: codeOf(error) });
      return problem(401, "AttestationFailed", "The evidence was not accepted.");
    } finally {
      verifying -= 1;
    }
  };

  const resource = async (request: IncomingMessage, name: string): Promise<Answer> => {
    const session = await sessionOf(request);
    const attested = session?.attested;
    if (attested === undefined) return unauthenticated();
    const { evidence, key } = attested;
    try {
      const body = await broker.release({
        name,
        evidence,
        keyDigest: key.digest,
        wrap: (secret) => key.encrypt(secret),
      });
      log.event("info", "broker.released", { resource: name, tee: evidence.tee });
      return { status: 200, body };
    } catch (error) {
      const code = codeOf(error);
      if (code === "refused") {
        log.event("warn", "broker.refused", { resource: name, tee: evidence.tee });
        return problem(403, "PolicyDeny", "The resource's policy refuses it.");
      }
      if (code === "not-found" || code === "invalid-argument") {
        return problem(404, "ResourceNotFound", "There is no such resource.");
      }
      log.event("error", "broker.failed", { code });
      return problem(503, "Unavailable", "The broker cannot release anything now.");
    }
  };

  const sessionOf = async (request: IncomingMessage): Promise<Session | undefined> => {
    const bearer = /^Bearer ([\w.-]+)$/.exec(request.headers.authorization ?? "")?.[1];
    if (bearer === undefined) return sessions.find(cookieOf(request));
    return sessions.find(await sessionOfToken(bearer, signer, crypto));
  };

  const route = async (request: IncomingMessage): Promise<Answer> => {
    const path = (request.url ?? "").split("?", 1)[0] ?? "";
    if (request.method === "POST" && path === `${base}/auth`) return auth(request);
    if (request.method === "POST" && path === `${base}/attest`) return attest(request);
    if (request.method === "GET" && path.startsWith(`${base}/resource/`)) {
      return resource(request, path.slice(`${base}/resource/`.length));
    }
    return problem(404, "NotFound", "There is nothing here.");
  };

  const server = createServer(
    {
      cert: options.tls.cert,
      key: options.tls.key,
      minVersion: "TLSv1.3",
      maxHeaderSize: kbsLimits.maxHeaderBytes,
      headersTimeout: kbsLimits.requestTimeoutMs,
      requestTimeout: kbsLimits.requestTimeoutMs,
      keepAliveTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      route(request)
        .catch((error: unknown) => {
          const code = codeOf(error);
          if (code === "limit-exceeded") return problem(413, "Limit", "Over a limit.");
          if (code === "malformed") return problem(401, "Malformed", "Not a request of RCAR.");
          log.event("error", "broker.failed", { code });
          return problem(500, "Internal", "The broker failed.");
        })
        .then((answer) => reply(request, response, answer))
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = kbsLimits.maxConnections;
  server.on("tlsClientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const where = `${options.host}:${options.port}`;
      const why = cause.code ?? "error";
      reject(new BrokerError("unavailable", `Cannot listen on ${where}: ${why}.`, { cause }));
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

function unauthenticated(): Answer {
  return problem(401, "Unauthenticated", "There is no attested session; begin with auth.");
}

function problem(status: number, type: string, detail: string): Answer {
  const uri = `https://github.com/confidential-containers/kbs/errors/${type}`;
  return { status, body: { type: uri, detail } };
}

function reply(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const body = Buffer.from(JSON.stringify(answer.body));
  response.writeHead(answer.status, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
    "Cache-Control": "no-store",
    ...(answer.cookie === undefined
      ? {}
      : { "Set-Cookie": `${cookieName}=${answer.cookie}; Path=/; Secure; HttpOnly` }),
    // A body that was not read to its end must not be taken for the next request.
    ...(request.complete ? {} : { Connection: "close" }),
  });
  response.end(body);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > kbsLimits.maxBodyBytes) {
      throw new BrokerError(
        "limit-exceeded",
        `A body has at most ${kbsLimits.maxBodyBytes} bytes.`,
      );
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function cookieOf(request: IncomingMessage): string | undefined {
  const cookies = (request.headers.cookie ?? "").split(";").map((one) => one.trim());
  const found = cookies.filter((one) => one.startsWith(`${cookieName}=`));
  return found.length === 1 ? found[0]?.slice(cookieName.length + 1) : undefined;
}

function codeOf(error: unknown): string {
  return error instanceof VivariumError ? error.code : "internal";
}
