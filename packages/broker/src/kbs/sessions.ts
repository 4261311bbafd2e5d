/** Sessions of RCAR: one challenge each, answered once; bounded in number and time. */
import type { EvidenceType, InstanceEvidence } from "@vivarium/attestation";
import { type Clock, type Random, toHex } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import type { TeeKey } from "./tee-key.ts";

export interface Session {
  readonly id: string;
  readonly tee: EvidenceType;
  /** Base64 of 32 random bytes. */
  readonly nonce: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** `challenged` turns `attesting` before the evidence is looked at: a challenge is answered once. */
  state: "challenged" | "attesting" | "attested";
  attested?: { readonly evidence: InstanceEvidence; readonly key: TeeKey };
}

export const sessionLimits: Readonly<Record<"maxSessions" | "lifetimeMs", number>> = {
  /** Sessions at a time. */
  maxSessions: 10_000,
  /** Milliseconds. */
  lifetimeMs: 5 * 60_000,
};

export interface Sessions {
  /** @throws BrokerError `limit-exceeded`. */
  open(tee: EvidenceType): Session;
  /** Undefined if there is none, or it is over. */
  find(id: string | undefined): Session | undefined;
}

export function createSessions(clock: Clock, random: Random): Sessions {
  const sessions = new Map<string, Session>();
  return {
    open(tee) {
      const now = clock.now();
      // In order of their making, which is that of their end.
      for (const [id, { expiresAt }] of sessions) {
        if (now < expiresAt) break;
        sessions.delete(id);
      }
      if (sessions.size >= sessionLimits.maxSessions) {
        throw new BrokerError("limit-exceeded", "There are too many sessions; try again later.");
      }
      const session: Session = {
        id: toHex(random.bytes(32)),
        tee,
        nonce: Buffer.from(random.bytes(32)).toString("base64"),
        expiresAt: now + sessionLimits.lifetimeMs,
        state: "challenged",
      };
      sessions.set(session.id, session);
      return session;
    },
    find(id) {
      const session = id === undefined ? undefined : sessions.get(id);
      if (session === undefined || clock.now() < session.expiresAt) return session;
      sessions.delete(session.id);
      return undefined;
    },
  };
}
