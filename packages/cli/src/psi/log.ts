/** Log and metrics of a run: what the closed catalogue of `ops` declares, and nothing else. */
import { type Log, toHex } from "@vivarium/core";
import { countEvents, createLog, createMetrics, serveOps } from "@vivarium/ops";
import type { Endpoint } from "../config/endpoint.ts";
import type { Io } from "../io.ts";

export interface RunLog {
  readonly log: Log;
  /** Makes `/readyz` say yes. */
  ready(): void;
  close(): Promise<void>;
}

export interface RunLogOptions {
  readonly metrics: Endpoint | undefined;
  readonly io: Io;
  /** Writes the events of the run as JSON lines to standard error. */
  readonly verbose: boolean;
  readonly version: string;
  /** Code measurement of the worker, for the metrics. */
  readonly code: Uint8Array | undefined;
}

/** @throws OpsError if the address of the metrics cannot be had. */
export async function createRunLog(options: RunLogOptions): Promise<RunLog> {
  const { io, verbose } = options;
  const metrics = createMetrics({
    build: {
      version: options.version,
      bundleDigest: options.code === undefined ? "none" : toHex(options.code),
    },
  });
  const lines = createLog({
    sink: (line) => io.stderr.write(`${line}\n`),
    level: verbose ? "info" : "error",
  });
  let isReady = false;
  const server =
    options.metrics === undefined
      ? undefined
      : await serveOps({ ...options.metrics, metrics, checks: { worker: () => isReady } });
  return {
    log: countEvents(lines, metrics),
    ready() {
      isReady = true;
    },
    close: async () => {
      await server?.close();
    },
  };
}
