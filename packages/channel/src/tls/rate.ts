/** New connections per address: a bucket for each, with bounded memory. */
import type { Clock } from "@vivarium/core";

interface Bucket {
  tokens: number;
  at: number;
}

const minuteMs = 60_000;

/** IPv6 by /64, for one host has a whole /64 to come from; mapped IPv4 as IPv4. */
export function rateKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(":")) return mapped ?? address;
  const [head = "", tail] = (address.split("%")[0] as string).toLowerCase().split("::");
  const first = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const gap = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length);
  const groups = [...first, ...Array<string>(gap).fill("0"), ...last];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}

export class AddressRate {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #maxAddresses: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(
    clock: Clock,
    limits: { readonly maxConnectionsPerMinute: number; readonly maxAddresses: number },
  ) {
    this.#clock = clock;
    this.#perMinute = limits.maxConnectionsPerMinute;
    this.#maxAddresses = limits.maxAddresses;
  }

  /** Addresses remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** True if this address may open another connection now. */
  admit(address: string): boolean {
    const key = rateKey(address);
    const now = this.#clock.monotonic();
    const bucket = this.#buckets.get(key) ?? { tokens: this.#perMinute, at: now };
    const refill = ((now - bucket.at) / minuteMs) * this.#perMinute;
    const tokens = Math.min(this.#perMinute, bucket.tokens + refill);
    // Most recent last: what is forgotten first is what has been silent longest.
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    if (this.#buckets.size > this.#maxAddresses) {
      const oldest = this.#buckets.keys().next().value;
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return tokens >= 1;
  }
}
