/** Which messages have been opened before. */
import { type Clock, toHex } from "@vivarium/core";
import { SealError } from "./errors.ts";

export interface ReplayGuard {
  /** Takes a message of proven origin, once. @throws SealError `replayed` or `limit-exceeded`. */
  accept(sender: Uint8Array, id: Uint8Array, sentAt: number): void;
}

export interface ReplayOptions {
  readonly clock: Clock;
  /** How old a message may be, ms; ids are remembered as long. Default 10 minutes. */
  readonly maxAgeMs?: number;
  /** How far ahead the sender's clock may be, ms. Default 1 minute. */
  readonly maxSkewMs?: number;
  /** Ids remembered at once. Default 100,000. */
  readonly maxEntries?: number;
}

/**
 * Remembers ids in this process only. After a restart messages younger than `maxAgeMs` would open
 * again; but the recipient's key died with the process, so they do not.
 */
export function createReplayGuard(options: ReplayOptions): ReplayGuard {
  const { clock, maxAgeMs = 600_000, maxSkewMs = 60_000, maxEntries = 100_000 } = options;
  /** Id to the moment it may be forgotten; nearly in order of time. */
  const seen = new Map<string, number>();
  return {
    accept(sender, id, sentAt) {
      const now = clock.now();
      if (!(sentAt > now - maxAgeMs) || !(sentAt <= now + maxSkewMs)) {
        throw new SealError(
          "replayed",
          "A message is too old, or from the future; compare clocks.",
        );
      }
      for (const [key, until] of seen) {
        if (until > now) break;
        seen.delete(key);
      }
      const key = `${toHex(sender)}:${toHex(id)}`;
      if (seen.has(key)) throw new SealError("replayed", "This message has been opened before.");
      if (seen.size >= maxEntries) {
        // Forgetting the oldest instead would let its replay in.
        throw new SealError(
          "limit-exceeded",
          `${maxEntries} messages in ${maxAgeMs} ms; try later.`,
        );
      }
      seen.set(key, Math.max(sentAt, now) + maxAgeMs);
    },
  };
}
