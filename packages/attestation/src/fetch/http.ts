/**
 * Downloads of collateral. What comes back proves nothing: it is verified where it is used, like evidence.
 * Bounded, with time-outs, patient with a busy service and short with a wrong one.
 */
import { AttestationError } from "../errors.ts";

export interface HttpOptions {
  /** Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Of one attempt. Default 20,000. */
  readonly timeoutMs?: number;
  /** Attempts in all. Default 5. */
  readonly attempts?: number;
  /** First pause; each next one is twice as long. Default 1,000. */
  readonly backOffMs?: number;
  /** Longest pause that a service may ask for by `Retry-After`. Default 60,000. */
  readonly maxPauseMs?: number;
  readonly signal?: AbortSignal;
  /** Waits; for tests. */
  readonly pause?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

export interface Download {
  readonly body: Uint8Array;
  /** Of those that were asked for, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface DownloadRequest {
  readonly url: string;
  readonly maxBytes: number;
  /** Response headers that belong to the answer, lower-case; all must be there. */
  readonly headers?: readonly string[];
}

/** Answers after which the same question may go well a moment later. */
const transient: readonly number[] = [408, 425, 429, 500, 502, 503, 504];
const maxHeaderChars = 32 * 1024;

/** @throws AttestationError `unreachable`, naming the host and what it did. */
export async function download(request: DownloadRequest, options: HttpOptions): Promise<Download> {
  const { attempts = 5, backOffMs = 1_000, maxPauseMs = 60_000, signal, pause = wait } = options;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    const outcome = await once(request, options);
    if ("body" in outcome) return outcome;
    if (!outcome.again || attempt >= attempts) {
      const times = attempt > 1 ? ` (${attempt} attempts)` : "";
      throw new AttestationError(
        "unreachable",
        `${hostOf(request.url)} ${outcome.problem}${times}.`,
        { cause: outcome.cause },
      );
    }
    const asked = Math.min(maxPauseMs, outcome.retryAfterMs ?? 0);
    // Many clients that were turned away together must not come back together.
    const own = backOffMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
    await pause(Math.max(asked, Math.min(own, maxPauseMs)), signal);
  }
}

interface Failure {
  readonly problem: string;
  readonly again: boolean;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

async function once(
  { url, maxBytes, headers = [] }: DownloadRequest,
  { fetch = globalThis.fetch, timeoutMs = 20_000, signal }: HttpOptions,
): Promise<Download | Failure> {
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    // A redirect could lead anywhere, into the local network too.
    const response = await fetch(url, {
      redirect: "error",
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      const again = transient.includes(response.status);
      return {
        problem: `answers with status ${response.status}`,
        again,
        retryAfterMs: delayOf(response),
      };
    }
    const found: Record<string, string> = {};
    for (const name of headers) {
      const value = response.headers.get(name);
      if (value === null || value.length > maxHeaderChars) {
        await response.body?.cancel();
        return { problem: `answers without the header ${name}`, again: false };
      }
      found[name] = value;
    }
    const body = await bounded(response, maxBytes);
    return body === undefined
      ? { problem: `sends over ${maxBytes} bytes`, again: false }
      : { body, headers: found };
  } catch (cause) {
    if (signal?.aborted === true) throw signal.reason;
    const slow = limit.aborted;
    return {
      problem: slow ? `is silent for ${timeoutMs} ms` : "cannot be reached",
      again: true,
      cause,
    };
  }
}

/** Undefined if there is more. A cut-off body is an error of `fetch` itself. */
async function bounded(response: Response, maxBytes: number): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  const body = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    body.set(chunk, offset);
    offset += chunk.length;
  }
  return body;
}

/** `Retry-After` in seconds or as a date. */
function delayOf({ headers }: Response): number | undefined {
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const ms = /^\d{1,6}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "The address";
}

function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
