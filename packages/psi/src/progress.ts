/** Progress of a run: how far, how fast, how long still. */
import type { Clock } from "@vivarium/core";

/**
 * - `waiting`: for the peer's first frame
 * - `hash`: own items to points
 * - `mask`: own points under the own scalar, to the peer
 * - `receive`: the peer's points
 * - `evaluate`: the peer's points under the own scalar
 * - `match`: tags compared, result handed over
 */
export type PsiPhase = "waiting" | "hash" | "mask" | "receive" | "evaluate" | "match";

export interface PsiProgress {
  readonly phase: PsiPhase;
  readonly done: number;
  /** Absent while it is not known. */
  readonly total: number | undefined;
  /** Items per second since the phase began. */
  readonly rate: number;
  /** Milliseconds still to go in this phase, by the rate so far. */
  readonly etaMs: number | undefined;
  /** Bytes of the protocol in each direction so far. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Where the bytes are counted. */
export interface Traffic {
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** Milliseconds between two events of one phase. */
const intervalMs = 100;

export class ProgressMeter {
  readonly #clock: Clock;
  readonly #traffic: Traffic;
  readonly #listener: ((progress: PsiProgress) => void) | undefined;
  readonly #phases = new Map<PsiPhase, { start: number; last: number; done: number }>();

  constructor(
    clock: Clock,
    traffic: Traffic,
    listener: ((progress: PsiProgress) => void) | undefined,
  ) {
    this.#clock = clock;
    this.#traffic = traffic;
    this.#listener = listener;
  }

  /** Begins a phase and reports it. */
  begin(phase: PsiPhase, total?: number): void {
    this.#phases.set(phase, { start: this.#clock.monotonic(), last: 0, done: 0 });
    this.#report(phase, total, true);
  }

  /** @param added items done since the last call. */
  add(phase: PsiPhase, added: number, total?: number): void {
    const state = this.#phases.get(phase);
    if (state === undefined) return;
    state.done += added;
    this.#report(phase, total, state.done === total);
  }

  /** Milliseconds each phase took until now. */
  elapsed(): Readonly<Record<string, number>> {
    const now = this.#clock.monotonic();
    const entries = [...this.#phases].map(([phase, { start }]) => [phase, now - start] as const);
    return Object.fromEntries(entries);
  }

  #report(phase: PsiPhase, total: number | undefined, force: boolean): void {
    const state = this.#phases.get(phase);
    if (state === undefined || this.#listener === undefined) return;
    const now = this.#clock.monotonic();
    if (!force && now - state.last < intervalMs) return;
    state.last = now;
    const seconds = (now - state.start) / 1000;
    const rate = seconds > 0 ? state.done / seconds : 0;
    const etaMs =
      total === undefined || rate === 0 ? undefined : (1000 * (total - state.done)) / rate;
    const { bytesSent, bytesReceived } = this.#traffic;
    this.#listener({ phase, done: state.done, total, rate, etaMs, bytesSent, bytesReceived });
  }
}
