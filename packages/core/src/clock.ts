/** Time as a parameter: the host of a trust domain controls the wall clock, tests control both. */

/** A source of time. */
export interface Clock {
  /** Wall-clock time in milliseconds since 1970-01-01T00:00:00Z. May be set by the host. */
  now(): number;
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels. Never keeps a process alive. */
  after(delayMs: number, run: () => void): () => void;
}

/** The system's clock, with a floor: wall-clock time never goes back within one process. */
export function systemClock(): Clock {
  let floor = 0;
  return {
    now() {
      // A host that sets the clock back would make expired evidence valid again.
      floor = Math.max(floor, Date.now());
      return floor;
    },
    monotonic: () => performance.now(),
    after(delayMs, run) {
      let timer: ReturnType<typeof setTimeout>;
      const arm = (left: number): void => {
        // setTimeout fires at once for delays over 2^31-1 ms (24.8 days): longer ones go in steps.
        const step = Math.min(Math.max(0, left), 2_147_483_647);
        timer = setTimeout(() => (left > step ? arm(left - step) : run()), step);
        if (typeof timer === "object") timer.unref();
      };
      arm(delayMs);
      return () => clearTimeout(timer);
    },
  };
}

/** A clock that stands still until told otherwise. For tests and reproducible examples. */
export interface ManualClock extends Clock {
  /** Moves both clocks forward and runs what has become due, in order. */
  advance(ms: number): void;
  /** Sets the wall clock only, also backwards, as a hostile host would. */
  setWallClock(ms: number): void;
}

/** @param startMs wall-clock time at the start. */
export function manualClock(startMs: number): ManualClock {
  let wall = startMs;
  let elapsed = 0;
  let next = 0;
  const timers = new Map<number, { due: number; run: () => void }>();
  return {
    now: () => wall,
    monotonic: () => elapsed,
    after(delayMs, run) {
      const id = next++;
      timers.set(id, { due: elapsed + Math.max(0, delayMs), run });
      return () => void timers.delete(id);
    },
    setWallClock(ms) {
      wall = ms;
    },
    advance(ms) {
      const end = elapsed + ms;
      for (;;) {
        let first: [number, { due: number; run: () => void }] | undefined;
        for (const entry of timers) {
          if (entry[1].due <= end && (first === undefined || entry[1].due < first[1].due)) {
            first = entry;
          }
        }
        if (first === undefined) break;
        timers.delete(first[0]);
        wall += first[1].due - elapsed;
        elapsed = first[1].due;
        first[1].run();
      }
      wall += end - elapsed;
      elapsed = end;
    },
  };
}
