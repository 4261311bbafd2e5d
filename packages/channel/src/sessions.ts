/** The registry of live sessions: one revocation closes every channel it concerns. */
import { AttestationResult, type Finding, type Revocations } from "@vivarium/attestation";
import type { Clock } from "@vivarium/core";
import { ChannelError } from "./errors.ts";
import type { UnattestedPeer } from "./peer.ts";

/** A channel as the registry sees it. */
export interface Session {
  readonly id: string;
  readonly peer: AttestationResult | UnattestedPeer;
  /** Ends it at once. */
  revoke(error: ChannelError): void;
}

export interface SessionRegistry {
  /** Sessions alive. */
  readonly size: number;
  /**
   * @throws ChannelError `revoked` or `expired` if the peer is by now: appraisal and this moment
   * are apart, and a revocation in between must not be lost.
   */
  admit(session: Session): () => void;
  /** @throws ChannelError `revoked` or `expired`; for a result that is about to replace another. */
  check(peer: AttestationResult | UnattestedPeer): void;
  /** Checks all sessions now, besides after each change of the revocations and every sweep. */
  sweep(): void;
  /** Ends its timers and its subscription, and closes all sessions. */
  close(): void;
}

/** How often all sessions are checked even without news: lists go stale, clocks are set. */
const sweepMs = 10_000;

export function createSessionRegistry(options: {
  readonly clock: Clock;
  readonly revocations?: Revocations;
}): SessionRegistry {
  const { clock, revocations } = options;
  const sessions = new Set<Session>();
  let cancelTimer: (() => void) | undefined;

  const problem = (peer: AttestationResult | UnattestedPeer): ChannelError | undefined => {
    if (!AttestationResult.is(peer)) return undefined;
    if (clock.now() >= peer.expiresAt) {
      return new ChannelError("expired", "The peer's attestation result has expired.");
    }
    const finding = revocations?.check({
      identity: peer.identity,
      measurements: peer.measurements,
      tee: peer.tee,
      tcbStatus: peer.tcb.status,
    });
    return finding === undefined ? undefined : revoked(finding);
  };
  const sweep = (): void => {
    for (const session of [...sessions]) {
      const error = problem(session.peer);
      if (error !== undefined) session.revoke(error);
    }
  };
  const arm = (): void => {
    cancelTimer ??= clock.after(sweepMs, () => {
      cancelTimer = undefined;
      sweep();
      if (sessions.size > 0) arm();
    });
  };
  const unsubscribe = revocations?.onChange(sweep);
  return {
    get size() {
      return sessions.size;
    },
    admit(session) {
      const error = problem(session.peer);
      if (error !== undefined) throw error;
      sessions.add(session);
      arm();
      return () => void sessions.delete(session);
    },
    check(peer) {
      const error = problem(peer);
      if (error !== undefined) throw error;
    },
    sweep,
    close() {
      cancelTimer?.();
      unsubscribe?.();
      const error = new ChannelError("closed", "The registry of sessions was closed.");
      for (const session of [...sessions]) session.revoke(error);
    },
  };
}

function revoked(finding: Finding): ChannelError {
  return new ChannelError("revoked", `The peer has been revoked (rule ${finding.rule}).`, {
    findings: [finding],
  });
}
