/** Going on with a saved session: both sides must have the same one, and prove it over the new channel. */
import { createHash, createHmac } from "node:crypto";
import { encode, equalBytes, labels, lengthPrefixed } from "@vivarium/core";
import type { SavedSession } from "./checkpoint.ts";
import type { PsiRole } from "./config.ts";
import { readControl } from "./control.ts";
import { PsiError } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { Session } from "./session.ts";

/**
 * What a Hello says of a saved session: equal on both sides if id and first-round transcript are. Empty
 * without one.
 */
export function resumeTag(saved: SavedSession | undefined): Uint8Array<ArrayBuffer> {
  if (saved === undefined) return new Uint8Array(0);
  const framed = lengthPrefixed(labels.psiResume, saved.id, saved.roundOne);
  return new Uint8Array(createHash("sha256").update(framed).digest());
}

/**
 * Both sides prove to have the session itself and not just its tag, bound to this channel and these
 * Hellos. @param fresh the session id that a new run over this channel would have.
 */
export async function proveSession(
  session: Session,
  role: PsiRole,
  saved: SavedSession,
  fresh: Uint8Array,
): Promise<void> {
  const proof = (of: PsiRole): Uint8Array =>
    createHmac("sha256", saved.id)
      .update(lengthPrefixed(labels.psiResumeProof, of, fresh, saved.roundOne))
      .digest();
  await session.send("resume", encode({ proof: new Uint8Array(proof(role)) }));
  const frame = await session.receive("resume", psiLimits.maxControlBytes);
  const theirs = readControl(frame, "resume", ["proof"])["proof"];
  const expected = proof(role === "receiver" ? "sender" : "receiver");
  if (!(theirs instanceof Uint8Array) || !equalBytes(theirs, expected)) {
    throw new PsiError("checkpoint", "The peer has not the session that it wants to go on with.");
  }
}

/** A checkpoint of another configuration or role must not be lost by a slip: it is refused, not dropped. */
export function requireSameRun(saved: SavedSession, role: PsiRole, configDigest: Uint8Array): void {
  if (saved.role === role && equalBytes(saved.configDigest, configDigest)) return;
  throw changed("role or configuration");
}

/** @throws PsiError `checkpoint`. */
export function requireSameInput(
  saved: SavedSession,
  inputDigest: Uint8Array,
  items: number,
): void {
  if (equalBytes(saved.inputDigest, inputDigest) && saved.order.length === items) return;
  throw changed("input");
}

function changed(what: string): PsiError {
  return new PsiError(
    "checkpoint",
    `The ${what} is another than the checkpoint's: put it back, or remove the checkpoint to begin anew.`,
  );
}
