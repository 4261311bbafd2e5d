/** A log that holds what is in the catalogue, and nothing else. */
import { type Clock, type Log, type LogFields, type LogLevel, systemClock } from "@vivarium/core";
import { type EventEntry, eventCatalogue, type FieldKind } from "./catalogue.ts";

/** Most characters of one field; what is longer is cut. */
export const logLimits = { maxIdChars: 128, maxTextChars: 512 } as const;

export interface LogOptions {
  /** Takes one line without its line end. What it throws is counted, not passed on. */
  readonly sink: (line: string) => void;
  /** The least level that is written. Default `info`. */
  readonly level?: LogLevel;
  /** Default `json`: one object a line. `text`: `time LEVEL event field=value …`. */
  readonly format?: "json" | "text";
  /** Whether to keep what workers print. Default false: it is text that nobody declared. */
  readonly workerOutput?: boolean;
  readonly clock?: Clock;
}

export interface CatalogueLog extends Log {
  /** What was left out because the catalogue does not have it, or the sink failed. */
  readonly dropped: { readonly events: number; readonly fields: number; readonly lines: number };
}

const severity: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export function createLog(options: LogOptions): CatalogueLog {
  const clock = options.clock ?? systemClock();
  const least = severity[options.level ?? "info"];
  const write = options.format === "text" ? textLine : jsonLine;
  const dropped = { events: 0, fields: 0, lines: 0 };
  return {
    get dropped() {
      return { ...dropped };
    },
    event(level, event, fields = {}) {
      // hasOwn: an event named like a member of Object.prototype is not in the catalogue.
      const entry = Object.hasOwn(eventCatalogue, event) ? eventCatalogue[event] : undefined;
      if (entry === undefined) {
        dropped.events++;
        return;
      }
      const stated = entry.levels.includes(level) ? level : entry.levels[0];
      if (severity[stated] < least) return;
      const kept = admitted(entry, fields, options.workerOutput === true);
      dropped.fields += Object.keys(fields).length - kept.length;
      try {
        options.sink(write(new Date(clock.now()).toISOString(), stated, event, kept));
      } catch {
        // A full disk must not end a protocol; the count shows it.
        dropped.lines++;
      }
    },
  };
}

type Kept = readonly (readonly [string, string | number])[];

function admitted(entry: EventEntry, fields: LogFields, output: boolean): Kept {
  const kept: (readonly [string, string | number])[] = [];
  // In the catalogue's order, so that equal events make equal lines.
  for (const [name, kind] of Object.entries(entry.fields)) {
    if (!Object.hasOwn(fields, name) || (kind === "output" && !output)) continue;
    const value = admit(kind, fields[name]);
    if (value !== undefined) kept.push([name, value]);
  }
  return kept;
}

/** The value if it is of its kind: types are checked, for a caller may have cast. */
function admit(kind: FieldKind, value: unknown): string | number | undefined {
  if (kind === "count") {
    return typeof value === "number" && Number.isFinite(value) ? value : undefined;
  }
  if (typeof value !== "string") return undefined;
  if (kind === "id") {
    return value.length <= logLimits.maxIdChars && /^[\w.:/+=-]*$/.test(value) ? value : undefined;
  }
  // Control characters would forge lines or drive the reader's terminal.
  const plain = value.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, "\ufffd");
  return plain.length > logLimits.maxTextChars
    ? `${plain.slice(0, logLimits.maxTextChars)}…`
    : plain;
}

function jsonLine(time: string, level: LogLevel, event: string, fields: Kept): string {
  return JSON.stringify({ time, level, event, ...Object.fromEntries(fields) });
}

function textLine(time: string, level: LogLevel, event: string, fields: Kept): string {
  const parts = fields.map(([name, value]) => {
    const text = String(value);
    return `${name}=${/^[\w.:/+-]+$/.test(text) ? text : JSON.stringify(text)}`;
  });
  return [time, level.toUpperCase().padEnd(5), event, ...parts].join(" ");
}
