/** A clock for expiry: the host may set the wall clock back or stop it, but not this one. */
import type { Clock } from "@vivarium/core";

/** `now()` never goes back, and never falls behind the monotonic clock since this call. */
export function steadyClock(clock: Clock): Clock {
  const start = clock.now();
  const monotonicStart = clock.monotonic();
  let floor = start;
  return {
    now() {
      // A stopped wall clock would keep expired results alive for as long as the host likes.
      const passed = Math.floor(clock.monotonic() - monotonicStart);
      floor = Math.max(floor, clock.now(), start + passed);
      return floor;
    },
    monotonic: () => clock.monotonic(),
    after: (delayMs, run) => clock.after(delayMs, run),
  };
}
