/**
 * Both REST dialects on one listener, for clients that exist today. Plain HTTP: bind it to loopback, or put
 * attested TLS in front; remote clients that must not trust the operator use the attested channel.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { concat, utf8, VivariumError } from "@vivarium/core";
import type { ModelRef, ServingCore } from "../core.ts";
import { ServingError } from "../errors.ts";
import { servingLimits } from "../limits.ts";
import type { Json } from "./json.ts";
import { metricsType, renderMetrics } from "./metrics.ts";
import * as tf from "./tf-serving.ts";
import * as v2 from "./v2.ts";

export interface RestOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly core: ServingCore;
  readonly version: string;
  /** Longest time for one request to come in whole, milliseconds. Default 30,000. */
  readonly requestTimeoutMs?: number;
}

export interface RestServer extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
}

interface Answer {
  readonly status: number;
  readonly body: Json | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

const statuses: Readonly<Record<string, number>> = {
  "invalid-argument": 400,
  "not-found": 404,
  overloaded: 429,
  deadline: 504,
  closed: 503,
  aborted: 499,
};

/** @throws ServingError `failed` if the address cannot be had. */
export async function serveRest(options: RestOptions): Promise<RestServer> {
  const { host, port, requestTimeoutMs = 30_000 } = options;
  const server: Server = createServer({ requestTimeout: requestTimeoutMs, headersTimeout: 10_000 });
  server.on("request", (request, response) => void respond(options, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new ServingError("failed", `Cannot listen on ${host}:${port}.`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    address: bound.address,
    port: bound.port,
    async [Symbol.asyncDispose]() {
      server.closeIdleConnections();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        setTimeout(() => server.closeAllConnections(), 5_000).unref();
      });
    },
  };
}

async function respond(
  options: RestOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Answer;
  try {
    const body = await bodyOf(request);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    answer = await route(options, request, body, gone.signal);
  } catch (thrown) {
    const error = thrown instanceof VivariumError ? thrown : undefined;
    const status = statuses[error?.code ?? ""] ?? 500;
    answer = {
      status,
      // Nothing of what is not ours: its message may hold input.
      body: { error: error?.message ?? "The server failed at this request." },
      headers: status === 429 || status === 503 ? { "retry-after": "1" } : {},
    };
  }
  const binary = answer.body instanceof Uint8Array;
  const bytes = binary ? (answer.body as Uint8Array) : Buffer.from(JSON.stringify(answer.body));
  response.writeHead(answer.status, {
    "content-type": binary ? "application/octet-stream" : "application/json",
    "content-length": bytes.length,
    "cache-control": "no-store",
    ...answer.headers,
  });
  response.end(bytes);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const declared = Number(request.headers["content-length"] ?? 0);
  const tooLong = (): never => {
    throw new ServingError(
      "invalid-argument",
      `A request has at most ${servingLimits.requestBytes} bytes.`,
    );
  };
  if (declared > servingLimits.requestBytes) tooLong();
  // Compressed bodies would be bombs; none of the dialects' clients sends them unasked.
  if (request.headers["content-encoding"] !== undefined) {
    throw new ServingError("invalid-argument", "Bodies must not be compressed.");
  }
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > servingLimits.requestBytes) tooLong();
    parts.push(part);
  }
  // A plain array: `slice` of a Buffer is a view of memory that others use.
  return concat(...parts);
}

const name = "([A-Za-z0-9][A-Za-z0-9._-]{0,127})";
const tfPath = new RegExp(
  `^/v1/models/${name}(?:/versions/(\\d{1,15})|/labels/${name})?(/metadata|:predict)?$`,
);
const v2Path = new RegExp(`^/v2/models/${name}(?:/versions/(\\d{1,15}))?(/ready|/infer)?$`);

async function route(
  { core, version }: RestOptions,
  request: IncomingMessage,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Answer> {
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  const { method } = request;
  const client = request.socket.remoteAddress ?? "";
  const tfMatch = tfPath.exec(path);
  if (tfMatch !== null) {
    const ref = refOf(tfMatch[1] as string, tfMatch[2], tfMatch[3]);
    if (tfMatch[4] === ":predict") {
      requireMethod(method, "POST");
      const document = v2.parseJson(body);
      if (typeof document !== "object" || document === null || Array.isArray(document)) {
        throw new ServingError("invalid-argument", "The request is wrong: its body is no object.");
      }
      const { inputs, rows } = tf.readPredict(
        core.find(ref),
        document as { readonly [name: string]: Json },
      );
      const prediction = await core.predict(ref, inputs, { client, signal });
      return { status: 200, body: tf.writePredict(prediction, rows) };
    }
    requireMethod(method, "GET");
    const served = core.find(ref);
    if (tfMatch[4] === "/metadata") return { status: 200, body: tf.metadataOf(served) };
    const all = core.models().filter((model) => model.name === ref.name);
    const one = ref.version !== undefined || ref.label !== undefined;
    return { status: 200, body: tf.statusOf(one ? [served] : all) };
  }
  const v2Match = v2Path.exec(path);
  if (v2Match !== null) {
    const ref = refOf(v2Match[1] as string, v2Match[2], undefined);
    if (v2Match[3] === "/infer") {
      requireMethod(method, "POST");
      const header = request.headers["inference-header-content-length"];
      const length = header === undefined ? undefined : Number(header);
      const infer = v2.readInfer(core.find(ref), body, length);
      const { timeoutMs } = infer;
      const prediction = await core.predict(ref, infer.inputs, {
        client,
        signal,
        ...(timeoutMs === undefined ? {} : { deadline: core.now() + timeoutMs }),
      });
      const written = v2.writeInfer(prediction, infer);
      return written.headerLength === undefined
        ? { status: 200, body: v2.parseJson(written.body) }
        : {
            status: 200,
            body: written.body,
            headers: { "inference-header-content-length": String(written.headerLength) },
          };
    }
    requireMethod(method, "GET");
    const served = core.find(ref);
    if (v2Match[3] === "/ready") return { status: 200, body: {} };
    const versions = core
      .models()
      .filter((model) => model.name === ref.name)
      .map((model) => model.version);
    return { status: 200, body: v2.metadataOf(served, versions) };
  }
  requireMethod(method, "GET");
  switch (path) {
    case "/v2":
      return {
        status: 200,
        body: { name: "vivarium", version, extensions: ["binary_tensor_data"] },
      };
    case "/metrics":
      return {
        status: 200,
        body: utf8(renderMetrics(core.modelStats())),
        headers: { "content-type": metricsType },
      };
    case "/v2/health/live":
      return { status: 200, body: {} };
    case "/v2/health/ready":
      return { status: core.models().length > 0 ? 200 : 503, body: {} };
    default:
      throw new ServingError("not-found", "There is no such path; see docs/serving.md.");
  }
}

function refOf(model: string, version: string | undefined, label: string | undefined): ModelRef {
  return {
    name: model,
    ...(version === undefined ? {} : { version: Number(version) }),
    ...(label === undefined ? {} : { label }),
  };
}

function requireMethod(method: string | undefined, wanted: string): void {
  if (method !== wanted)
    throw new ServingError("invalid-argument", `This path takes ${wanted} only.`);
}
