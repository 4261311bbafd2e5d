/**
 * Secrets from a key broker, by the protocol of Confidential Containers (RCAR): challenge, evidence over
 * nonce and a fresh key, secret encrypted to that key. The broker is known by the key of its certificate,
 * which belongs into the worker's measured configuration: another broker could hand out keys it knows.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type TLSSocket } from "node:tls";
import { type Attester, type Evidence, encodeEvidence } from "@vivarium/attestation";
import { fromUtf8, throwIfAborted, toBase64Url, toHex } from "@vivarium/core";
import { Secret, type SecretSource } from "@vivarium/seal";
import { exportJWK, type FlattenedJWE, flattenedDecrypt, generateKeyPair } from "jose";
import { WorkersError } from "../errors.ts";

export interface KbsSourceOptions {
  /** `https://host:port`. */
  readonly url: string;
  /** `sha256:…` of the SubjectPublicKeyInfo of the broker's certificate. */
  readonly pin: string;
  readonly attester: Attester;
  /** Of one request. Default 15,000. */
  readonly timeoutMs?: number;
}

const maxBodyBytes = 2 * 1024 * 1024;
const algorithm = "ECDH-ES+A256KW";
const base = "/kbs/v0";
const protocolVersion = "0.4.0";

/** Attests anew for every secret: nothing of a session outlives it. */
export function kbsSource(options: KbsSourceOptions): SecretSource {
  const { attester, pin } = options;
  const url = new URL(options.url);
  if (url.protocol !== "https:" || url.pathname !== "/" || !/^sha256:[0-9a-f]{64}$/.test(pin)) {
    throw new WorkersError(
      "invalid-argument",
      "A key broker is named by https://host:port and the pin sha256:… of its key.",
    );
  }
  return {
    async get(name, { signal } = {}) {
      throwIfAborted(signal);
      const ask = (method: string, path: string, more: Partial<Ask>): Promise<Reply> =>
        send(url, options, { method, path: `${base}${path}`, signal, ...more });
      const hello = { version: protocolVersion, tee: attester.type, "extra-params": "" };
      const challenge = await ask("POST", "/auth", { body: hello });
      const nonce = textOf(challenge.body, "nonce");
      const cookie = /^kbs-session-id=[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,256}/.exec(
        challenge.cookie ?? "",
      )?.[0];
      if (nonce === undefined || nonce.length > 256 || cookie === undefined) {
        throw failed("The key broker gave no challenge.");
      }
      const pair = await generateKeyPair(algorithm, { crv: "P-256" });
      const { kty, crv, x, y } = await exportJWK(pair.publicKey);
      const runtime = { nonce, "tee-pubkey": { alg: algorithm, crv, kty, x, y } };
      const evidence = await attester.collect(
        reportDataOf(runtime),
        signal === undefined ? {} : { signal },
      );
      const primary = formOf(evidence);
      await ask("POST", "/attest", {
        cookie,
        body: {
          "runtime-data": runtime,
          "tee-evidence": { primary_evidence: primary, additional_evidence: "{}" },
        },
      });
      const sealed = await ask("GET", `/resource/${name}`, { cookie });
      const { plaintext } = await flattenedDecrypt(
        sealed.body as unknown as FlattenedJWE,
        pair.privateKey,
        {
          keyManagementAlgorithms: [algorithm],
          contentEncryptionAlgorithms: ["A256GCM"],
        },
      ).catch((cause: unknown) => {
        throw failed("The key broker's answer is not encrypted to this worker's key.", cause);
      });
      const secret = new Secret(plaintext);
      plaintext.fill(0);
      return secret;
    },
  };
}

/** SHA-384 over JSON with sorted keys and zeros behind it: what the broker will compute. */
function reportDataOf(runtime: {
  readonly nonce: string;
  readonly "tee-pubkey": Readonly<Record<string, unknown>>;
}): Uint8Array {
  const key = runtime["tee-pubkey"];
  const sorted = Object.fromEntries(Object.entries(key).sort(([a], [b]) => (a < b ? -1 : 1)));
  const text = JSON.stringify({ nonce: runtime.nonce, "tee-pubkey": sorted });
  const out = new Uint8Array(64);
  out.set(createHash("sha384").update(text).digest());
  return out;
}

/** Quotes as trustee has them; everything else in an envelope that only our broker reads. */
function formOf(evidence: Evidence): object {
  if (evidence.type === "tdx" || evidence.type === "sgx") {
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
    const { eventlog } = evidence.attachments;
    return {
      quote: base64(evidence.bytes),
      ...(evidence.type === "sgx"
        ? {}
        : { cc_eventlog: eventlog === undefined ? null : base64(eventlog) }),
    };
  }
  return { vivarium: toBase64Url(encodeEvidence(evidence)) };
}

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  readonly cookie?: string;
  readonly signal: AbortSignal | undefined;
}

interface Reply {
  readonly body: Readonly<Record<string, unknown>>;
  readonly cookie: string | undefined;
}

async function send(url: URL, options: KbsSourceOptions, ask: Ask): Promise<Reply> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? 15_000);
  const signal = ask.signal === undefined ? limit : AbortSignal.any([ask.signal, limit]);
  // Nothing is sent before the key is known to be the pinned one.
  const socket = await pinned(url, options.pin, signal);
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const { method, path, body, cookie } = ask;
      const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      const headers = {
        Host: url.host,
        Connection: "close",
        ...(bytes === undefined
          ? {}
          : { "Content-Type": "application/json", "Content-Length": bytes.length }),
        ...(cookie === undefined ? {} : { Cookie: cookie }),
      };
      const request = httpsRequest(
        { method, path, headers, signal, createConnection: () => socket },
        resolve,
      );
      request.once("error", reject);
      request.end(bytes);
    });
    const text = await bounded(response);
    if (response.statusCode !== 200) {
      throw failed(`The key broker answers ${ask.path} with ${response.statusCode ?? "nothing"}.`);
    }
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) throw failed("The answer is no object.");
    const cookie = response.headers["set-cookie"]?.find((one) => one.startsWith("kbs-session-id="));
    return { body: value as Reply["body"], cookie };
  } catch (cause) {
    if (cause instanceof WorkersError) throw cause;
    throw failed("The key broker's answer did not come, or has not its form.", cause);
  } finally {
    socket.destroy();
  }
}

function pinned(url: URL, pin: string, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: Number(url.port === "" ? 443 : url.port),
      minVersion: "TLSv1.3",
      // Not by authorities: by the key itself, below.
      rejectUnauthorized: false,
    });
    const end = (error: WorkersError): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => end(failed(`The key broker ${url.host} did not answer in time.`));
    signal.addEventListener("abort", onAbort, { once: true });
    socket.on("error", (cause) => end(failed(`Cannot connect to ${url.host}.`, cause)));
    socket.once("secureConnect", () => {
      const spki = socket
        .getPeerX509Certificate()
        ?.publicKey.export({ type: "spki", format: "der" });
      const found = spki === undefined ? "none" : createHash("sha256").update(spki).digest();
      const actual = typeof found === "string" ? found : `sha256:${toHex(found)}`;
      if (actual !== pin) {
        end(failed(`The key broker ${url.host} has the key ${actual}, not the pinned one.`));
        return;
      }
      signal.removeEventListener("abort", onAbort);
      resolve(socket);
    });
  });
}

async function bounded(response: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response as AsyncIterable<Uint8Array>) {
    length += part.length;
    if (length > maxBodyBytes) throw failed("The key broker's answer is too big.");
    parts.push(part);
  }
  return fromUtf8(new Uint8Array(Buffer.concat(parts)));
}

function textOf(value: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const field = value[name];
  return typeof field === "string" ? field : undefined;
}

function failed(message: string, cause?: unknown): WorkersError {
  return new WorkersError("secret-unavailable", message, { cause });
}
