/** Digests of what a launcher measures, each under its own label. */
import { type Crypto, type Encodable, encode, labels, lengthPrefixed } from "@vivarium/core";

/** Digest of the runtime's flags, in their order: the order decides which of two flags wins. */
export function flagsDigest(
  crypto: Crypto,
  flags: readonly string[],
): Promise<Uint8Array<ArrayBuffer>> {
  return crypto.digest("SHA-256", lengthPrefixed(labels.flags, ...flags));
}

/**
 * Digest of a workload's configuration: SHA-256 over the label and its MessagePack form with the
 * keys of every map in code-unit order, so that two spellings of one configuration agree.
 */
export function configDigest(crypto: Crypto, config: Encodable): Promise<Uint8Array<ArrayBuffer>> {
  return crypto.digest("SHA-256", lengthPrefixed(labels.config, encode(sorted(config))));
}

function sorted(value: Encodable): Encodable {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (isList(value)) return value.map(sorted);
  const keys = Object.keys(value).sort();
  return Object.fromEntries(keys.map((key) => [key, sorted(value[key] as Encodable)]));
}

function isList(value: object): value is readonly Encodable[] {
  return Array.isArray(value);
}
