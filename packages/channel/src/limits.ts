/** Every bound of this package; the README has them as a table. */
import { ChannelError } from "./errors.ts";

export interface ChannelLimits {
  /** Bytes of a peer's Hello, its statement included. */
  readonly maxHelloBytes: number;
  /** Bytes of a delegation with its signature over the binding. */
  readonly maxIdentityBytes: number;
  /** Bytes of encoded evidence. */
  readonly maxEvidenceBytes: number;
  /** Bytes a peer may send before both verdicts, all frames together. */
  readonly maxHandshakeBytes: number;
  /** From the open transport to both verdicts. A slow-loris peer lives this long at most. */
  readonly handshakeTimeoutMs: number;
  /** Handshakes of one endpoint at the same time. */
  readonly maxConcurrentHandshakes: number;
  /** How far the clocks of both ends may be apart. */
  readonly maxClockSkewMs: number;
  /** Bytes of one call's request or response, or of a stream's parameters. */
  readonly maxCallBytes: number;
  /** Bytes of one message of a stream. */
  readonly maxStreamMessageBytes: number;
  /** Bytes of a stream that may wait for a slow consumer; at least two messages. */
  readonly streamWindowBytes: number;
  /** Calls of the peer that run at the same time. */
  readonly maxConcurrentCalls: number;
  /** Streams of the peer that run at the same time. */
  readonly maxConcurrentStreams: number;
  /** Request bytes of all running calls of the peer. */
  readonly maxPendingCallBytes: number;
  /** Calls that wait for `serve` to register their method. */
  readonly maxHeldCalls: number;
  /** How long such a call waits. */
  readonly heldCallMs: number;
  /** Bytes of replies that a peer lets pile up by not reading. */
  readonly maxControlBytes: number;
  /** A ping is sent this often. */
  readonly heartbeatMs: number;
  /** A peer that has sent nothing for this long is gone. */
  readonly silenceMs: number;
  /** How long `close` waits for running calls. */
  readonly drainMs: number;
  /** Re-attestations a verifier may ask for in a minute: quotes are costly. */
  readonly maxReattestationsPerMinute: number;
  /** How long the peer may take to attest again. */
  readonly reattestTimeoutMs: number;
}

export const defaultChannelLimits: ChannelLimits = {
  maxHelloBytes: 16 * 1024,
  maxIdentityBytes: 4 * 1024,
  maxEvidenceBytes: 512 * 1024,
  maxHandshakeBytes: 1024 * 1024,
  handshakeTimeoutMs: 15_000,
  maxConcurrentHandshakes: 128,
  maxClockSkewMs: 60_000,
  maxCallBytes: 4 * 1024 * 1024,
  maxStreamMessageBytes: 1024 * 1024,
  streamWindowBytes: 4 * 1024 * 1024,
  maxConcurrentCalls: 256,
  maxConcurrentStreams: 64,
  maxPendingCallBytes: 64 * 1024 * 1024,
  maxHeldCalls: 64,
  heldCallMs: 30_000,
  maxControlBytes: 1024 * 1024,
  heartbeatMs: 10_000,
  silenceMs: 30_000,
  drainMs: 10_000,
  maxReattestationsPerMinute: 6,
  reattestTimeoutMs: 30_000,
};

/** Bytes a stream may carry before the receiver's first credit arrives. Part of the protocol. */
export const initialWindowBytes: number = 256 * 1024;
/** What each message of a stream costs beside its bytes, so that empty ones are not free. */
export const messageOverheadBytes = 64;
/** Bytes of a method's name. */
export const maxMethodNameBytes = 128;
/** Bytes of an error message that crosses the wire. */
export const maxErrorMessageBytes = 1024;

/** @throws ChannelError `limit-exceeded` for a limit that is not positive or contradicts another. */
export function resolveLimits(limits: Partial<ChannelLimits> = {}): ChannelLimits {
  const resolved = { ...defaultChannelLimits, ...limits };
  for (const [name, value] of Object.entries(resolved)) {
    if (!Number.isSafeInteger(value) || value <= 0) {
      throw new ChannelError(
        "limit-exceeded",
        `Limit ${name} is ${value}, not a positive integer.`,
      );
    }
  }
  const smallest = 2 * (resolved.maxStreamMessageBytes + messageOverheadBytes);
  if (resolved.streamWindowBytes < smallest || resolved.streamWindowBytes < initialWindowBytes) {
    throw new ChannelError(
      "limit-exceeded",
      `streamWindowBytes must be at least ${Math.max(smallest, initialWindowBytes)}: two messages.`,
    );
  }
  return resolved;
}
