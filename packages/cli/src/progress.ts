/** Progress for people: one bar that redraws on a terminal, a line now and then elsewhere. */
import type { Io } from "./io.ts";
import { printable } from "./io.ts";

/** One step of a running command. */
export interface ProgressEvent {
  /** What is being done: `masking`, `exchanging`, … */
  readonly phase: string;
  /** Items done of this phase, 0 to `total`. */
  readonly done: number;
  /** Items of this phase; 0 while unknown. */
  readonly total: number;
  /** Items per second. */
  readonly rate: number;
  /** Milliseconds that remain, where they can be estimated. */
  readonly etaMs?: number | undefined;
}

export interface Progress {
  update(event: ProgressEvent): void;
  /** A line that stands above the bar. */
  note(line: string): void;
  /** Ends the bar; must be called before anything else is printed. */
  finish(): void;
}

/** Where progress is shown. JSON: one object per line on standard error. */
export type ProgressStyle = "text" | "json";

/** Least time between two drawings of one phase, in milliseconds. */
const redrawMs = { tty: 100, lines: 5_000, json: 1_000 } as const;
const barWidth = 24;

export function createProgress(io: Io, style: ProgressStyle = "text"): Progress {
  const tty = style === "text" && io.stderr.isTty;
  const interval = style === "json" ? redrawMs.json : tty ? redrawMs.tty : redrawMs.lines;
  // Of each phase: two phases run side by side and take turns with their events.
  const drawn = new Map<string, { at: number; complete: boolean }>();
  let phase: string | undefined;
  let barShown = false;

  const endBar = (): void => {
    if (barShown) io.stderr.write("\n");
    barShown = false;
  };
  const draw = (event: ProgressEvent): void => {
    if (style === "json") {
      io.stderr.write(`${JSON.stringify({ progress: event })}\n`);
    } else if (tty) {
      // Return, erase the line: a shorter text must not leave the tail of the longer one.
      io.stderr.write(`\r\u001b[2K${bar(event).slice(0, Math.max(20, io.stderr.columns - 1))}`);
      barShown = true;
    } else {
      io.stderr.write(`${line(event)}\n`);
    }
  };

  return {
    update(event) {
      const last = drawn.get(event.phase);
      const isDone = event.total > 0 && event.done >= event.total;
      const now = io.now();
      const again = last !== undefined && event.done > 0;
      if (again && ((isDone && last.complete) || (!isDone && now - last.at < interval))) return;
      if (event.phase !== phase) endBar();
      phase = event.phase;
      drawn.set(event.phase, { at: now, complete: isDone });
      draw(event);
    },
    note(text) {
      endBar();
      io.stderr.write(
        style === "json" ? `${JSON.stringify({ note: text })}\n` : `${printable(text)}\n`,
      );
    },
    finish: endBar,
  };
}

function bar(event: ProgressEvent): string {
  if (event.total <= 0) return line(event);
  const share = Math.min(1, Math.max(0, event.done / event.total));
  const filled = Math.round(share * barWidth);
  const drawn = `${"#".repeat(filled)}${".".repeat(barWidth - filled)}`;
  return `${printable(event.phase).padEnd(12)} [${drawn}] ${percent(share)} ${speed(event)}`;
}

function line(event: ProgressEvent): string {
  const name = printable(event.phase);
  if (event.total <= 0) return `${name}: ${event.done.toLocaleString("en-US")} ${speed(event)}`;
  const of = `${event.done.toLocaleString("en-US")} of ${event.total.toLocaleString("en-US")}`;
  return `${name}: ${of} (${percent(event.done / event.total).trim()}) ${speed(event)}`;
}

function percent(share: number): string {
  return `${Math.floor(share * 100)}%`.padStart(4);
}

function speed(event: ProgressEvent): string {
  const rate = `${Math.round(event.rate).toLocaleString("en-US")}/s`;
  const isDone = event.total > 0 && event.done >= event.total;
  if (event.etaMs === undefined || isDone) return rate;
  return `${rate}, ${duration(event.etaMs)} left`;
}

/** `7 s`, `3 min 20 s`, `2 h 5 min`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
