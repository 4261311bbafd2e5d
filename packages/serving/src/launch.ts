/** A model server in a measured process of its own. */
import { attestationErrorClass } from "@vivarium/attestation";
import { channelErrorClass } from "@vivarium/channel";
import type { Encodable } from "@vivarium/core";
import { type Secret, sealErrorClass } from "@vivarium/seal";
import { tensorsErrorClass } from "@vivarium/tensors";
import { type LaunchOptions, launch, type Worker } from "@vivarium/workers";
import { servingBundle } from "./bundle.ts";
import { servingErrorClass } from "./errors.ts";
import type { ServingWorkerConfig } from "./worker/config.ts";
import type { ServingSummary, ServingWorkerEvent } from "./worker/events.ts";

export interface LaunchServingOptions
  extends Omit<LaunchOptions, "bundle" | "role" | "workload" | "config" | "onEvent"> {
  /** Measured bundle. Default: the installed one. */
  readonly bundle?: string;
  readonly config: ServingWorkerConfig;
  /** Opens sealed models, 32 bytes. */
  readonly modelKey?: Secret;
  readonly onEvent?: (event: ServingWorkerEvent) => void;
}

/** A launched server. Disposing of it stops the process. */
export interface ServingWorker extends AsyncDisposable {
  readonly worker: Worker;
  /** Resolves when the server has drained. */
  readonly result: Promise<ServingSummary>;
}

const errorClasses = [
  servingErrorClass,
  tensorsErrorClass,
  attestationErrorClass,
  channelErrorClass,
  sealErrorClass,
];

/** @throws AttestationError `invalid-policy`, before anything starts; WorkersError if it does not start. */
export async function launchServing(options: LaunchServingOptions): Promise<ServingWorker> {
  const { onEvent, config, modelKey, ...rest } = options;
  const worker = await launch({
    errorClasses,
    ...rest,
    bundle: options.bundle ?? servingBundle(),
    role: "server",
    workload: "serving",
    config: config as unknown as Encodable,
    onEvent: (event) => {
      if (event.kind === "event") onEvent?.(event.value as unknown as ServingWorkerEvent);
    },
  });
  // Always one message: a server that expects none waits for none.
  if (config.sealed) worker.send(modelKey === undefined ? null : modelKey.reveal().slice());
  // Our own bundle, measured at launch: it returns what its main function is typed to return.
  const result = worker.result as Promise<unknown> as Promise<ServingSummary>;
  return { worker, result, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}
