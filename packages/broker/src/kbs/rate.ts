/** How often one address may ask for a challenge: those who have proven nothing cost something. */
import type { Clock } from "@vivarium/core";

const windowMs = 60_000;
const maxAddresses = 10_000;

export interface Rate {
  admit(address: string): boolean;
}

/** @param perMinute of one address; IPv6 addresses count by their /64. */
export function createRate(clock: Clock, perMinute: number): Rate {
  const seen = new Map<string, { since: number; count: number }>();
  return {
    admit(address) {
      const now = clock.now();
      const key =
        address.includes(":") && !address.startsWith("::ffff:") ? prefix(address) : address;
      let entry = seen.get(key);
      if (entry === undefined || now - entry.since >= windowMs || now < entry.since) {
        seen.delete(key);
        if (seen.size >= maxAddresses) {
          const [oldest] = seen.keys();
          if (oldest !== undefined) seen.delete(oldest);
        }
        entry = { since: now, count: 0 };
        seen.set(key, entry);
      }
      entry.count += 1;
      return entry.count <= perMinute;
    },
  };
}

function prefix(address: string): string {
  const [head = "", tail] = address.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0");
  return [...left, ...(tail === undefined ? [] : zeros), ...right].slice(0, 4).join(":");
}
