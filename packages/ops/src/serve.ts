/**
 * Health and metrics on a listener of their own, by default on the loopback interface only. It
 * reads nothing but a request line, tells nothing but names and numbers that were declared, and is
 * never the port that peers use.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { OpsError } from "./errors.ts";
import type { Metrics } from "./metrics.ts";

/** Bounds of the listener. */
export interface OpsLimits {
  /** Connections at a time. */
  readonly maxConnections: number;
  /** Bytes of the header of a request. */
  readonly maxHeaderBytes: number;
  /** Milliseconds for the whole header of a request. */
  readonly headersTimeoutMs: number;
  /** Milliseconds for a request as a whole; at least `headersTimeoutMs`. */
  readonly requestTimeoutMs: number;
  /** Milliseconds that a connection may stay open between requests. */
  readonly idleTimeoutMs: number;
  /** Milliseconds for one readiness check. */
  readonly checkTimeoutMs: number;
  /** Readiness checks. */
  readonly maxChecks: number;
}

export const opsLimits: OpsLimits = {
  maxConnections: 64,
  maxHeaderBytes: 8_192,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  idleTimeoutMs: 5_000,
  checkTimeoutMs: 2_000,
  maxChecks: 32,
};

export interface OpsOptions {
  /** Default `127.0.0.1`. Another one must be chosen in full knowledge: there is no access control. */
  readonly host?: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly metrics: Metrics;
  /** By name; ready is when all give true in time. A throw is a no. */
  readonly checks?: Readonly<Record<string, () => boolean | Promise<boolean>>>;
  readonly limits?: Partial<OpsLimits>;
}

export interface OpsServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/livez` (the process answers), `/readyz` (its checks pass) and `/metrics`.
 * @throws OpsError
 */
export async function serveOps(options: OpsOptions): Promise<OpsServer> {
  const limits: OpsLimits = { ...opsLimits, ...options.limits };
  requireLimits(limits, options.port);
  const checks = Object.entries(options.checks ?? {});
  if (
    checks.length > limits.maxChecks ||
    checks.some(([name]) => !/^[a-z0-9-]{1,40}$/.test(name))
  ) {
    throw new OpsError(
      "invalid-argument",
      `At most ${limits.maxChecks} checks, named by lower-case letters, digits and hyphens.`,
    );
  }
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      // Header and request time-outs hold from the connection on, also if nothing is ever sent.
      connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
    },
    (request, response) => {
      answer(request, response, options.metrics, checks, limits).catch(() => {
        if (!response.headersSent) reply(response, 500, "error\n");
        else response.destroy();
      });
    },
  );
  server.maxConnections = limits.maxConnections;
  const host = options.host ?? "127.0.0.1";
  await listen(server, host, options.port);
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  };
  const { port } = server.address() as AddressInfo;
  return { host, port, close, [Symbol.asyncDispose]: close };
}

function requireLimits(limits: OpsLimits, port: number): void {
  for (const name of Object.keys(opsLimits) as (keyof OpsLimits)[]) {
    // 0 would mean "no limit" to node:http.
    if (!Number.isInteger(limits[name]) || limits[name] < 1 || limits[name] > 2_147_483_647) {
      throw new OpsError("invalid-argument", `Limit ${name} must be a whole number above 0.`);
    }
  }
  if (limits.headersTimeoutMs > limits.requestTimeoutMs) {
    throw new OpsError("invalid-argument", "headersTimeoutMs must not exceed requestTimeoutMs.");
  }
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new OpsError("invalid-argument", "The port must be a whole number from 0 to 65535.");
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  metrics: Metrics,
  checks: readonly (readonly [string, () => boolean | Promise<boolean>])[],
  limits: OpsLimits,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    // The body is not read: the connection ends with the answer.
    response.setHeader("Connection", "close");
    response.setHeader("Allow", "GET, HEAD");
    reply(response, 405, "method not allowed\n");
    return;
  }
  const path = (request.url ?? "").split("?", 1)[0];
  if (path === "/livez") reply(response, 200, "ok\n");
  else if (path === "/readyz") {
    const results = await Promise.all(
      checks.map(async ([name, check]) => ({ name, ok: await passes(check, limits) })),
    );
    const failed = results.filter(({ ok }) => !ok).map(({ name }) => name);
    // Which check, not why: the reason is in the log, which has its catalogue.
    if (failed.length === 0) reply(response, 200, "ready\n");
    else reply(response, 503, `not ready: ${failed.join(", ")}\n`);
  } else if (path === "/metrics") {
    reply(response, 200, await metrics.render(), metrics.contentType);
  } else reply(response, 404, "not found\n");
}

async function passes(
  check: () => boolean | Promise<boolean>,
  limits: OpsLimits,
): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limits.checkTimeoutMs);
  });
  try {
    // Strictly true: an object or a string that happens to be truthy is no.
    return (await Promise.race([check(), late])) === true;
  } catch {
    return false;
  } finally {
    clearTimeout(timer);
  }
}

function reply(
  response: ServerResponse,
  status: number,
  body: string,
  type = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(body);
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const message = `Cannot listen on ${host}:${port} for health and metrics: ${cause.code ?? "error"}.`;
      reject(new OpsError("listen-failed", message, { cause }));
    });
    server.listen(port, host, () => resolve());
  });
}
