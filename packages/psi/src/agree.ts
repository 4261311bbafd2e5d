/** What both roles do alike: agree on the configuration, the session, the sizes, and on the end. */
import { createHash } from "node:crypto";
import { type Encodable, encode, equalBytes, labels, lengthPrefixed } from "@vivarium/core";
import type { SavedSession } from "./checkpoint.ts";
import { type ConfigFields, configFields, type PsiRole, requireSameConfig } from "./config.ts";
import { malformed, readControl, readCount } from "./control.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { ResolvedOptions } from "./options.ts";
import { proveSession, resumeTag } from "./resume.ts";
import type { Link, Session } from "./session.ts";

/** Of the wire format. */
export const protocol = "vivarium psi/2";
const nonceBytes = 32;
const sessionBytes = 32;

export interface Agreed {
  /** Session id. */
  readonly id: Uint8Array<ArrayBuffer>;
  /** The saved session, if both sides go on with it. */
  readonly resumed?: SavedSession;
}

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
  saved?: SavedSession,
): Promise<Agreed> {
  const fields = configFields(options.config);
  const own = encode({
    protocol,
    role,
    resume: resumeTag(saved),
    nonce: options.random.bytes(nonceBytes),
    config: fields.map(([path, value]) => [path, value]),
  });
  await session.send("hello", own);
  const peer = await session.receive("hello", psiLimits.maxControlBytes);
  const hello = readControl(peer, "hello", ["config", "nonce", "protocol", "resume", "role"]);
  if (hello["protocol"] !== protocol) {
    throw new PsiError("protocol", `The peer does not speak ${protocol}: use the same version.`);
  }
  if (hello["role"] !== (role === "receiver" ? "sender" : "receiver")) {
    throw new PsiError("config-mismatch", `Both sides have the role ${role}: change one.`);
  }
  const { nonce, resume } = hello;
  if (!(resume instanceof Uint8Array)) throw malformed("hello");
  if (!(nonce instanceof Uint8Array) || nonce.length !== nonceBytes) throw malformed("hello");
  requireSameConfig(fields, readFields(hello["config"]));
  const [first, second] = role === "receiver" ? [own, peer] : [peer, own];
  // An exporter's context may be short; the digest binds both Hellos all the same.
  const context = createHash("sha256").update(lengthPrefixed(labels.psiSession, first, second));
  const fresh = new Uint8Array(link.exportKey(context.digest(), sessionBytes));
  if (saved === undefined || !equalBytes(resume, resumeTag(saved))) return { id: fresh };
  await proveSession(session, role, saved, fresh);
  return { id: saved.id, resumed: saved };
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
  before: readonly Uint8Array[],
): Promise<Uint8Array<ArrayBuffer>> {
  const transcript = session.transcript(role, id, before);
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

function readFields(value: Encodable | undefined): ConfigFields {
  if (!Array.isArray(value)) throw malformed("hello");
  return value.map((entry: Encodable): readonly [string, string] => {
    if (!Array.isArray(entry) || entry.length !== 2) throw malformed("hello");
    const [path, text] = entry as readonly Encodable[];
    if (typeof path !== "string" || typeof text !== "string") throw malformed("hello");
    return [path, text];
  });
}
