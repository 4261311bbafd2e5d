/**
 * Logging as a parameter. Libraries name an event and give it scalar fields; whoever runs them
 * decides where it goes. `ops` keeps the closed catalogue of events and drops whatever is not in
 * it: a log is a way out of a trust domain.
 */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** Values an event may carry. No bytes, no objects: nothing that could hold a key or a row. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

export interface Log {
  /** @param event a name of the catalogue, such as `channel.accepted`. */
  event(level: LogLevel, event: string, fields?: LogFields): void;
}

/** Keeps nothing. */
export const silentLog: Log = { event() {} };
