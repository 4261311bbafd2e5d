/** One party of a federated run in a measured process of its own. */
import { attestationErrorClass, checkPolicy, parsePolicy } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { channelErrorClass } from "@vivarium/channel";
import type { Encodable } from "@vivarium/core";
import { type Secret, sealErrorClass } from "@vivarium/seal";
import { type LaunchOptions, launch, type Worker } from "@vivarium/workers";
import { federatedBundle } from "./bundle.ts";
import { federatedErrorClass } from "./errors.ts";
import type { FederatedWorkerConfig } from "./worker/config.ts";
import type {
  AggregatorSummary,
  FederatedWorkerEvent,
  ParticipantSummary,
} from "./worker/events.ts";

export type FederatedRole = "aggregator" | "participant";

export interface LaunchFederatedOptions
  extends Omit<LaunchOptions, "bundle" | "role" | "workload" | "config" | "onEvent"> {
  /** Measured bundle. Default: the installed one. */
  readonly bundle?: string;
  readonly role: FederatedRole;
  readonly config: FederatedWorkerConfig;
  /** Key of the sealed state, 32 bytes; needed where the configuration names a state. */
  readonly stateKey?: Secret;
  readonly onEvent?: (event: FederatedWorkerEvent) => void;
}

/** A launched party. Disposing of it stops the process. */
export interface FederatedWorker extends AsyncDisposable {
  readonly worker: Worker;
  /** @throws WorkersError, ChannelError, SealError or FederatedError. */
  readonly result: Promise<AggregatorSummary | ParticipantSummary>;
}

const errorClasses = [
  federatedErrorClass,
  attestationErrorClass,
  channelErrorClass,
  sealErrorClass,
];

/** @throws AttestationError `invalid-policy`, before anything starts; WorkersError if it does not start. */
export async function launchFederated(options: LaunchFederatedOptions): Promise<FederatedWorker> {
  const { onEvent, config, stateKey, ...rest } = options;
  // A policy that pins too little would refuse every peer later; its owner should hear of it now.
  checkPolicy(parsePolicy(options.policy), everyVerifier());
  const worker = await launch({
    errorClasses,
    ...rest,
    bundle: options.bundle ?? federatedBundle(),
    workload: "federated",
    config: config as unknown as Encodable,
    onEvent: (event) => {
      if (event.kind === "event") onEvent?.(event.value as unknown as FederatedWorkerEvent);
    },
  });
  if (stateKey !== undefined) worker.send(stateKey.reveal().slice());
  // Our own bundle, measured at launch: it returns what its main function is typed to return.
  const result = worker.result as Promise<unknown> as FederatedWorker["result"];
  return { worker, result, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}
