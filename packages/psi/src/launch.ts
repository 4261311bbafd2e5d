/** One side of an intersection in a measured process of its own. */
import { attestationErrorClass, checkPolicy, parsePolicy } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { channelErrorClass } from "@vivarium/channel";
import type { Encodable } from "@vivarium/core";
import { type Secret, sealErrorClass } from "@vivarium/seal";
import { tablesErrorClass } from "@vivarium/tables";
import { type LaunchOptions, launch, type Worker } from "@vivarium/workers";
import { psiBundle } from "./bundle.ts";
import type { PsiRole } from "./config.ts";
import { psiErrorClass } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import type { PsiWorkerConfig } from "./worker/config.ts";
import type { PsiWorkerEvent, PsiWorkerSummary } from "./worker/events.ts";

type Optional = "minItems" | "maxItems" | "timeoutMs";

/** What both sides choose; `minItems` and `maxItems` must be the same on both. */
export type PsiPartyConfig = Omit<PsiWorkerConfig, Optional> &
  Partial<Pick<PsiWorkerConfig, Optional>>;

export interface LaunchPsiOptions
  extends Omit<LaunchOptions, "bundle" | "role" | "workload" | "config" | "onEvent"> {
  /** Measured bundle. Default: the installed one. */
  readonly bundle?: string;
  readonly role: PsiRole;
  /** Defaults: `minItems` 0, `maxItems` 100,000,000, `timeoutMs` one hour. */
  readonly config: PsiPartyConfig;
  /** Key of the checkpoint, 32 bytes; needed where the configuration names one. */
  readonly checkpointKey?: Secret;
  readonly onEvent?: (event: PsiWorkerEvent) => void;
}

/** A launched side. Disposing of it stops the process. */
export interface PsiWorker extends AsyncDisposable {
  readonly worker: Worker;
  /** @throws WorkersError, ChannelError, TablesError or PsiError: then nothing was written. */
  readonly result: Promise<PsiWorkerSummary>;
}

/** What may end the process, with its class and code kept on the way out. */
const errorClasses = [
  psiErrorClass,
  attestationErrorClass,
  channelErrorClass,
  tablesErrorClass,
  sealErrorClass,
];

/**
 * Launches one side.
 * @throws AttestationError `invalid-policy`, before anything starts; WorkersError if it does not start.
 */
export async function launchPsi(options: LaunchPsiOptions): Promise<PsiWorker> {
  const { onEvent, config, checkpointKey, ...rest } = options;
  // A policy that pins too little would refuse every peer later; its owner should hear of it now.
  checkPolicy(parsePolicy(options.policy), everyVerifier());
  const complete: PsiWorkerConfig = {
    minItems: 0,
    maxItems: psiLimits.maxItems,
    timeoutMs: 3_600_000,
    ...config,
  };
  const worker = await launch({
    errorClasses,
    ...rest,
    bundle: options.bundle ?? psiBundle(),
    workload: "psi",
    // An interface has no index signature; every field of it is encodable.
    config: complete as unknown as Encodable,
    onEvent: (event) => {
      if (event.kind === "event") onEvent?.(event.value as unknown as PsiWorkerEvent);
    },
  });
  if (checkpointKey !== undefined) worker.send(checkpointKey.reveal().slice());
  // Our own bundle, measured at launch: it returns what its main function is typed to return.
  const result = worker.result as Promise<unknown> as Promise<PsiWorkerSummary>;
  return { worker, result, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}

/** Launches one side and waits for its end. */
export async function runPsi(options: LaunchPsiOptions): Promise<PsiWorkerSummary> {
  await using side = await launchPsi(options);
  return await side.result;
}
