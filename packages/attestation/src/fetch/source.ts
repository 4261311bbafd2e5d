/** Where collateral comes from: the cache while it is young, the service, and the cache again if that fails. */
import type { Clock } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { DownloadCache } from "./cache.ts";
import { type Download, type DownloadRequest, download, type HttpOptions } from "./http.ts";

export interface SourceOptions extends HttpOptions {
  readonly clock: Clock;
  readonly cache?: DownloadCache;
  /** Takes nothing but what the cache holds, however old. */
  readonly offline?: boolean;
  /** What a screen may show: one line for each question to a service. */
  readonly onRequest?: (line: string) => void;
}

export interface SourceRequest extends DownloadRequest {
  /** What identifies the answer: the same question to a mirror is the same entry. */
  readonly name: string;
  /** How long an answer stays young. Its own dates are checked where it is used. */
  readonly maxAgeMs: number;
}

export interface CollateralSource {
  get(request: SourceRequest): Promise<Download>;
}

/** One for a process: questions that are under way are asked once. */
export function collateralSource(options: SourceOptions): CollateralSource {
  const { clock, cache, offline = false, onRequest = () => {} } = options;
  const running = new Map<string, Promise<Download>>();

  async function ask(request: SourceRequest): Promise<Download> {
    const { name, maxAgeMs } = request;
    const known = await cache?.get(name);
    const age = known === undefined ? Number.POSITIVE_INFINITY : clock.now() - known.fetchedAt;
    // An entry from the future was written under another clock: not young.
    if (known !== undefined && (offline || (age >= 0 && age < maxAgeMs))) return known;
    if (offline) {
      throw new AttestationError(
        "unreachable",
        `The cache does not hold ${name}, and this is offline.`,
      );
    }
    onRequest(`Asking ${new URL(request.url).host} for ${name}.`);
    let fresh: Download;
    try {
      fresh = await download(request, options);
    } catch (error) {
      if (known === undefined || options.signal?.aborted === true) throw error;
      // Its dates decide, where it is verified: a service that is down must not stop what is still valid.
      onRequest(`No answer; taking ${name} of ${new Date(known.fetchedAt).toISOString()}.`);
      return known;
    }
    await cache?.put(name, { ...fresh, fetchedAt: clock.now() });
    return fresh;
  }

  return {
    get(request) {
      const before = running.get(request.name);
      if (before !== undefined) return before;
      const answer = ask(request).finally(() => running.delete(request.name));
      running.set(request.name, answer);
      return answer;
    },
  };
}
