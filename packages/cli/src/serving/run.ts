/** `serving run`: launches the measured server and shows what it reports, until it is interrupted. */
import { simulatedPolicy } from "@vivarium/attestation/simulated";
import { nodeCrypto } from "@vivarium/core/node";
import { Secret } from "@vivarium/seal";
import { launchServing, type ServingWorkerEvent } from "@vivarium/serving";
import type { Action } from "../command.ts";
import { loadServingConfig } from "../config/serving.ts";
import { CliError } from "../errors/error.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { evidenceLabel, platformAttester } from "../evidence/source.ts";
import { readBounded } from "../files.ts";
import { openIdentity, openRoot } from "../identity/open.ts";
import { loadPolicy } from "../policy/load.ts";
import { createRunLog } from "../psi/log.ts";
import { programVersion } from "../version.ts";
import { measureServing } from "./bundle.ts";

export const runServing: Action<{ config: string }> = async (context, options) => {
  const config = await loadServingConfig(context.path(options.config));
  const { io, json, verbose } = context;
  const state = await context.state({ create: false });
  const identity = await openIdentity(state, config.identity);
  const collateral = await readCollateralFiles(config.collateral);
  const measured = await measureServing();
  const root = await openRoot(state);
  // Nobody is admitted by it: clients that verify only are not held to a policy.
  const own = simulatedPolicy({
    crypto: nodeCrypto(),
    role: "client",
    root: root.signer.publicKey,
    identity: identity.signer.publicKey,
    measurements: measured,
  });
  const policy = config.policy === undefined ? await own : await loadPolicy(config.policy);
  const { evidence: source, tpm } = config;
  const attestation =
    source === "simulated"
      ? ({ kind: "simulated", root: root.signer } as const)
      : ({
          kind: "platform",
          attester: await platformAttester({ source, tpm, state, io }),
        } as const);
  context.note(
    attestation.kind === "simulated"
      ? "Evidence is simulated: it proves the code by a development root, and isolates nothing."
      : evidenceLabel(attestation.attester.type),
  );
  const operations = await createRunLog({
    metrics: config.metrics,
    ...{ io, verbose, code: measured.code },
    version: await programVersion(),
  });
  const onEvent = (event: ServingWorkerEvent): void => {
    if (json) io.stderr.write(`${JSON.stringify({ event })}\n`);
    else for (const line of eventLines(event)) context.note(line);
    if (event.type === "ready") operations.ready();
  };
  try {
    using modelKey = await keyOf(config.modelKey);
    await using server = await launchServing({
      config: { ...config.worker, collateral },
      ...{ policy, attestation, onEvent },
      ...(modelKey === undefined ? {} : { modelKey }),
      identity: identity.signer,
      log: operations.log,
    });
    const stop = (): void => void server.worker.stop();
    io.signal.addEventListener("abort", stop, { once: true });
    const { requests, failures } = await server.result;
    context.print({ requests, failures }, [
      `Stopped after ${requests} requests, ${failures} of which failed.`,
    ]);
    return 0;
  } finally {
    await operations.close();
  }
};

/** @throws CliError `invalid-file`. */
export async function keyOf(path: string | undefined): Promise<Secret | undefined> {
  if (path === undefined) return undefined;
  const bytes = await readBounded(path, "model key", 32);
  if (bytes.length !== 32) {
    throw new CliError("invalid-file", `The model key ${path} must have exactly 32 bytes.`);
  }
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}

export function eventLines(event: ServingWorkerEvent): readonly string[] {
  switch (event.type) {
    case "ready":
      return [
        `Answering attested channels on ${event.address}.`,
        ...(event.rest === null
          ? []
          : [`REST in clear on http://${event.rest} (this machine only).`]),
      ];
    case "loaded":
      return [
        `Serving ${event.model.name} version ${event.model.version}${event.model.sealed ? ", sealed" : ""}: ${event.model.digest}`,
      ];
    case "unloaded":
      return [`No longer serving ${event.model.name} version ${event.model.version}.`];
    case "broken":
      return [`Cannot serve ${event.name} version ${event.version}: ${event.reason}`];
    case "client":
      return [`A client is connected${event.attested ? ", attested" : ""}.`];
    case "refused":
      return [`Turned a client away: ${event.message}`];
  }
}
