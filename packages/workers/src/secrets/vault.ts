/**
 * Secrets in HashiCorp Vault or OpenBao: KV version 2, and keys wrapped by the transit engine. Their HTTP
 * API as documented under "KV secrets engine - version 2" and "Transit secrets engine".
 */
import { fromUtf8, throwIfAborted } from "@vivarium/core";
import { type KeyWrapper, Secret, type SecretSource } from "@vivarium/seal";
import { WorkersError } from "../errors.ts";

export interface VaultOptions {
  /** `https://vault.example:8200`; plain HTTP on the loopback interface only. */
  readonly url: string;
  /** A token, asked for at each request: agents renew it in a file. */
  readonly token: () => Promise<Secret>;
  /** Of an enterprise installation. */
  readonly namespace?: string;
  /** Of one attempt. Default 5,000. */
  readonly timeoutMs?: number;
  /** Attempts while it is sealed, busy or away. Default 3. */
  readonly attempts?: number;
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Default: a timer. For tests. */
  readonly wait?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface VaultKvOptions extends VaultOptions {
  /** Where the engine is mounted. Default `secret`. */
  readonly mount?: string;
  /** Field of the secret, base64 in it. Default `value`. */
  readonly field?: string;
}

export interface VaultTransitOptions extends VaultOptions {
  /** Default `transit`. */
  readonly mount?: string;
  /** Name of the key, which never leaves the server. */
  readonly key: string;
}

const maxBodyBytes = 2 * 1024 * 1024;
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** The newest version of `<mount>/data/<name>`. */
export function vaultKvSource(options: VaultKvOptions): SecretSource {
  const { mount = "secret", field = "value" } = options;
  requireNames([mount]);
  const call = caller(options);
  return {
    async get(name, { signal } = {}) {
      requireNames(name.split("/"));
      const body = await call("GET", `${mount}/data/${name}`, undefined, signal);
      const value = fieldOf(fieldOf(fieldOf(body, "data"), "data"), field);
      const bytes = typeof value === "string" ? base64(value) : undefined;
      if (bytes === undefined || bytes.length === 0) {
        throw failed(`The secret ${name} in Vault has no field "${field}" with base64 in it.`);
      }
      const secret = new Secret(bytes);
      bytes.fill(0);
      return secret;
    },
  };
}

/** Wraps keys of sealed files by a key of the transit engine; the context binds them (derived keys). */
export function vaultTransitWrapper(options: VaultTransitOptions): KeyWrapper {
  const { mount = "transit", key } = options;
  requireNames([mount, key]);
  const call = caller(options);
  const encode = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
  return {
    name: `vault-${key}`.slice(0, 64),
    async wrap(plaintext, context) {
      const body = { plaintext: encode(plaintext), context: encode(context) };
      const reply = await call("POST", `${mount}/encrypt/${key}`, body, undefined);
      const text = fieldOf(fieldOf(reply, "data"), "ciphertext");
      if (typeof text !== "string" || !/^vault:v\d+:[A-Za-z0-9+/=]+$/.test(text)) {
        throw failed("Vault's transit engine gave no ciphertext.");
      }
      return new Uint8Array(Buffer.from(text));
    },
    async unwrap(wrapped, context) {
      const body = {
        ciphertext: Buffer.from(wrapped).toString("latin1"),
        context: encode(context),
      };
      const reply = await call("POST", `${mount}/decrypt/${key}`, body, undefined);
      const text = fieldOf(fieldOf(reply, "data"), "plaintext");
      const bytes = typeof text === "string" ? base64(text) : undefined;
      if (bytes === undefined) throw failed("Vault's transit engine gave no plaintext.");
      return bytes;
    },
  };
}

type Call = (
  method: "GET" | "POST",
  path: string,
  body: object | undefined,
  signal: AbortSignal | undefined,
) => Promise<unknown>;

function caller(options: VaultOptions): Call {
  const { timeoutMs = 5_000, attempts = 3, fetch = globalThis.fetch, namespace } = options;
  const wait = options.wait ?? sleep;
  const url = new URL(options.url);
  const loopback = ["127.0.0.1", "localhost", "[::1]"].includes(url.hostname);
  // The token is in every request: on plain HTTP it would be anybody's on the way.
  if (url.protocol !== "https:" && !(url.protocol === "http:" && loopback)) {
    throw new WorkersError("invalid-argument", "Vault is asked by https, or on the loopback only.");
  }
  return async (method, path, body, signal) => {
    let last: WorkersError = failed("Vault was not asked.");
    for (let attempt = 1; attempt <= attempts; attempt++) {
      throwIfAborted(signal);
      if (attempt > 1) await wait(200 * 2 ** (attempt - 2), signal);
      using token = await options.token();
      const limit = AbortSignal.timeout(timeoutMs);
      let status: number;
      let text: string;
      try {
        const response = await fetch(new URL(`/v1/${path}`, url), {
          method,
          redirect: "error",
          signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
          headers: {
            "X-Vault-Token": fromUtf8(token.reveal()).trim(),
            "X-Vault-Request": "true",
            ...(namespace === undefined ? {} : { "X-Vault-Namespace": namespace }),
            ...(body === undefined ? {} : { "Content-Type": "application/json" }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        ({ status } = response);
        text = await bounded(response);
      } catch (cause) {
        if (cause instanceof WorkersError) throw cause;
        throwIfAborted(signal);
        last = failed(`Vault at ${url.host} does not answer.`, cause);
        continue;
      }
      if (status === 200) return parsed(text);
      last = failed(`Vault answers ${path} with ${status}: ${meaning(status)}.`);
      // 429 and 5xx pass (503: sealed, 472 and 473: standby); all others stay as they are.
      if (status < 500 && ![429, 472, 473].includes(status)) break;
    }
    throw last;
  };
}

/** Never the server's own text: it may quote the request. */
function meaning(status: number): string {
  const known: Readonly<Record<number, string>> = {
    400: "it refuses the request, or the ciphertext is not of this key",
    403: "the token may not read it, or has expired",
    404: "there is nothing of that name",
    429: "too many requests",
    503: "it is sealed or in maintenance",
  };
  return known[status] ?? "see its audit log";
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > maxBodyBytes) throw failed("Vault's answer is too big.");
    parts.push(part);
  }
  return fromUtf8(new Uint8Array(Buffer.concat(parts)));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw failed("Vault's answer is not JSON.", cause);
  }
}

function fieldOf(value: unknown, name: string): unknown {
  const has = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return has ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function base64(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? new Uint8Array(bytes) : undefined;
}

function requireNames(names: readonly string[]): void {
  if (names.length > 8 || !names.every((name) => plainName.test(name))) {
    throw new WorkersError(
      "invalid-argument",
      "Names in Vault are letters, digits, dots, hyphens.",
    );
  }
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    const stop = (): void => {
      clearTimeout(timer);
      reject(new WorkersError("aborted", "Asking Vault was cancelled."));
    };
    signal?.addEventListener("abort", stop, { once: true });
  });
}

function failed(message: string, cause?: unknown): WorkersError {
  return new WorkersError("secret-unavailable", message, { cause });
}
