/** Reaching a peer that may start later: either side may be first. */
import { type Clock, throwIfAborted } from "@vivarium/core";
import type { Channel } from "../channel-types.ts";
import type { Endpoint } from "../endpoint.ts";
import { ChannelError } from "../errors.ts";
import { type ConnectTlsOptions, connectTls } from "./connect.ts";

export interface DialTlsOptions extends Omit<ConnectTlsOptions, "signal"> {
  readonly endpoint: Endpoint;
  readonly clock: Clock;
  /** Ends the attempts. */
  readonly signal: AbortSignal;
  /** Called once, if nobody answers the first attempt. */
  readonly onWaiting?: () => void;
}

/** Milliseconds between two attempts to connect: at first, and at most. */
const firstRetryMs = 100;
const longestRetryMs = 2_000;

/**
 * Tries until somebody listens and runs the handshake. A peer that answers and is refused is not asked
 * again.
 * @throws ChannelError of the handshake; the reason of the signal.
 */
export async function dialTls(options: DialTlsOptions): Promise<Channel> {
  const { endpoint, clock, signal, onWaiting } = options;
  for (let wait = firstRetryMs, first = true; ; first = false) {
    throwIfAborted(signal);
    try {
      return await endpoint.open(await connectTls(options), { signal });
    } catch (thrown) {
      const code = thrown instanceof ChannelError ? thrown.code : "";
      if (code !== "connection-failed" && code !== "timeout") throw thrown;
      if (first) onWaiting?.();
    }
    await pause(clock, wait, signal);
    wait = Math.min(longestRetryMs, 2 * wait);
  }
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // The clock's timers do not keep a process alive; the link to the launcher does.
    const cancel = clock.after(ms, resolve);
    signal.addEventListener(
      "abort",
      () => {
        cancel();
        resolve();
      },
      { once: true },
    );
  });
}
