/** What both roles do alike: agree on the configuration, the session, the sizes, and on the end. */
import { createHash } from "node:crypto";
import {
  type DecodeLimits,
  decode,
  type Encodable,
  encode,
  equalBytes,
  labels,
  lengthPrefixed,
} from "@vivarium/core";
import { type ConfigFields, configFields, type PsiRole, requireSameConfig } from "./config.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { ResolvedOptions } from "./options.ts";
import type { FrameType, Link, Session } from "./session.ts";

const protocol = "vivarium psi/1";
const nonceBytes = 32;
const sessionBytes = 32;

const controlLimits: DecodeLimits = {
  maxBytes: psiLimits.maxControlBytes,
  maxDepth: 4,
  maxArrayLength: 64,
  maxMapLength: 8,
  maxStringBytes: 8_192,
  maxBinaryBytes: 64,
  maxValues: 512,
};

/**
 * Exchanges Hellos and compares the configurations on both sides, before any item is read.
 * @returns the session id: secret of this channel, and of this run by both nonces, so that two runs
 * over one channel have nothing in common.
 */
export async function agreeOnConfig(
  session: Session,
  link: Link,
  role: PsiRole,
  options: ResolvedOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const fields = configFields(options.config);
  const own = encode({
    protocol,
    role,
    nonce: options.random.bytes(nonceBytes),
    config: fields.map(([path, value]) => [path, value]),
  });
  await session.send("hello", own);
  const peer = await session.receive("hello", psiLimits.maxControlBytes);
  const hello = readControl(peer, "hello", ["config", "nonce", "protocol", "role"]);
  if (hello["protocol"] !== protocol) {
    throw new PsiError("protocol", `The peer does not speak ${protocol}: use the same version.`);
  }
  if (hello["role"] !== (role === "receiver" ? "sender" : "receiver")) {
    throw new PsiError("config-mismatch", `Both sides have the role ${role}: change one.`);
  }
  const nonce = hello["nonce"];
  if (!(nonce instanceof Uint8Array) || nonce.length !== nonceBytes) throw malformed("hello");
  requireSameConfig(fields, readFields(hello["config"]));
  const [first, second] = role === "receiver" ? [own, peer] : [peer, own];
  // An exporter's context may be short; the digest binds both Hellos all the same.
  const context = createHash("sha256").update(lengthPrefixed(labels.psiSession, first, second));
  return new Uint8Array(link.exportKey(context.digest(), sessionBytes));
}

/** @returns the peer's number of distinct items, within the agreed rule. */
export async function agreeOnSizes(
  session: Session,
  own: number,
  options: ResolvedOptions,
): Promise<number> {
  const { minItems, maxItems } = options.config;
  if (own < minItems) {
    throw new PsiError("size", `The own set has ${own} items, under the agreed ${minItems}.`);
  }
  await session.send("sizes", encode({ items: own }));
  const frame = await session.receive("sizes", psiLimits.maxControlBytes);
  const items = readCount(readControl(frame, "sizes", ["items"])["items"], "sizes");
  if (items < minItems || items > maxItems) {
    throw new PsiError(
      "size",
      `The peer's set has ${items} items; agreed are ${minItems} to ${maxItems}.`,
    );
  }
  return items;
}

/** The last exchange: a result is one only if both saw the same frames and counts. */
export async function agreeOnEnd(
  session: Session,
  role: PsiRole,
  id: Uint8Array,
  counts: { readonly own: number; readonly peer: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const transcript = session.transcript(role, id);
  await session.send("done", encode({ items: counts.own, peerItems: counts.peer, transcript }));
  const frame = await session.receive("done", psiLimits.maxControlBytes);
  const done = readControl(frame, "done", ["items", "peerItems", "transcript"]);
  const theirs = done["transcript"];
  if (
    !(theirs instanceof Uint8Array) ||
    !equalBytes(theirs, transcript) ||
    done["items"] !== counts.peer ||
    done["peerItems"] !== counts.own
  ) {
    throw new PsiError("transcript-mismatch", "The parties saw different runs: no result is kept.");
  }
  return transcript;
}

/** A control frame as a record with exactly these keys. */
export function readControl(
  bytes: Uint8Array,
  type: FrameType,
  keys: readonly string[],
): Readonly<Record<string, Encodable>> {
  let value: Encodable;
  try {
    value = decode(bytes, controlLimits);
  } catch (cause) {
    throw malformed(type, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed(type);
  if (value instanceof Uint8Array) throw malformed(type);
  if (Object.keys(value).sort().join() !== keys.join()) throw malformed(type);
  return value as Readonly<Record<string, Encodable>>;
}

export function readCount(value: Encodable | undefined, type: FrameType): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) throw malformed(type);
  return value;
}

function readFields(value: Encodable | undefined): ConfigFields {
  if (!Array.isArray(value)) throw malformed("hello");
  return value.map((entry: Encodable): readonly [string, string] => {
    if (!Array.isArray(entry) || entry.length !== 2) throw malformed("hello");
    const [path, text] = entry as readonly Encodable[];
    if (typeof path !== "string" || typeof text !== "string") throw malformed("hello");
    return [path, text];
  });
}

function malformed(type: FrameType, cause?: unknown): PsiError {
  return new PsiError("protocol", `The peer's ${type} frame is malformed.`, { cause });
}
