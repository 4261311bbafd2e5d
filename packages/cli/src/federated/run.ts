/** `federated run`: launches this party's measured trust domain and shows what it reports. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  type AggregatorSummary,
  type FederatedWorkerEvent,
  federatedBundle,
  type LaunchFederatedOptions,
  launchFederated,
  type ParticipantSummary,
} from "@vivarium/federated";
import { Secret } from "@vivarium/seal";
import type { Json } from "../command.ts";
import type { FederatedConfig } from "../config/federated.ts";
import { CliError } from "../errors/error.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { evidenceLabel, platformAttester } from "../evidence/source.ts";
import { makePrivateDirectory, readBounded, refuseExistingFile, writeNew } from "../files.ts";
import { openIdentity, openRoot } from "../identity/open.ts";
import { type Io, printable } from "../io.ts";
import { loadPolicy } from "../policy/load.ts";
import { createRunLog } from "../psi/log.ts";
import type { State } from "../state.ts";
import { programVersion } from "../version.ts";
import { measureFederated } from "./bundle.ts";
import { eventLines } from "./lines.ts";

export interface FederatedRunOptions {
  /** Checked; paths are absolute. */
  readonly config: FederatedConfig;
  readonly state: State;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Directory of another bundle than the installed one: for tests. */
  readonly bundle?: string;
}

/** @returns the exit code. @throws errors of the packages involved. */
export async function runFederated(options: FederatedRunOptions, io: Io): Promise<number> {
  const { config, state, json, verbose } = options;
  const policy = await loadPolicy(config.policy);
  const identity = await openIdentity(state, config.identity);
  const attestation = await attestationOf(config, state, io);
  const collateral = await readCollateralFiles(config.collateral);
  if (config.output !== undefined) await refuseExistingFile(config.output, "model");
  if (config.receipts !== undefined) await mkdir(config.receipts, { recursive: true });
  const directory = await stateDirectory(config, state, identity.fingerprint);
  const say = (line: string): void => {
    if (!json) io.stderr.write(`${printable(line)}\n`);
  };
  say(
    attestation.kind === "simulated"
      ? "Evidence is simulated: it proves the code by a development root, and isolates nothing."
      : evidenceLabel(attestation.attester.type),
  );
  const code = config.metrics === undefined ? undefined : (await measureFederated()).code;
  const operations = await createRunLog({
    metrics: config.metrics,
    ...{ io, verbose, code },
    version: await programVersion(),
  });
  const receipts: Promise<void>[] = [];
  const onEvent = (event: FederatedWorkerEvent): void => {
    if (event.type === "receipt") {
      if (config.receipts !== undefined) {
        receipts.push(keepReceipt(config.receipts, event.round, event.receipt));
      }
      return;
    }
    if (json) io.stderr.write(`${JSON.stringify({ event })}\n`);
    else for (const line of eventLines(event)) say(line);
  };
  try {
    using stateKey = await stateKeyOf(config, directory);
    await using side = await launchFederated({
      bundle: options.bundle ?? federatedBundle(),
      role: config.role,
      ...{ policy, attestation, stateKey, onEvent },
      config: {
        plan: config.plan,
        ...config.network,
        ...{ state: directory, timeoutMs: config.timeoutMs, collateral },
        ...(config.output === undefined ? {} : { output: config.output }),
        ...(config.data === undefined ? {} : { data: config.data }),
        ...(config.cohort === undefined ? {} : { cohort: config.cohort }),
      },
      identity: identity.signer,
      log: operations.log,
      signal: io.signal,
    });
    operations.ready();
    const result = await side.result;
    await Promise.all(receipts);
    io.stdout.write(
      json
        ? `${JSON.stringify(summaryJson(result))}\n`
        : `${summaryLines(result, config).map(printable).join("\n")}\n`,
    );
    return 0;
  } finally {
    await operations.close();
  }
}

async function attestationOf(
  { evidence: source, tpm }: FederatedConfig,
  state: State,
  io: Io,
): Promise<LaunchFederatedOptions["attestation"]> {
  if (source === "simulated") return { kind: "simulated", root: (await openRoot(state)).signer };
  return { kind: "platform", attester: await platformAttester({ source, tpm, state, io }) };
}

/** One a plan, role and identity, so that two runs of one machine do not meet. */
async function stateDirectory(
  { plan, role }: FederatedConfig,
  state: State,
  identity: string,
): Promise<string> {
  const tag = createHash("sha256").update(identity).digest("hex").slice(0, 16);
  const path = join(state.checkpoints, `federated-${plan.name}-${role}-${tag}`);
  await makePrivateDirectory(state.checkpoints, "checkpoint directory");
  await makePrivateDirectory(path, "state of the run");
  return path;
}

/**
 * Without a file of its own the key lies beside what it seals: that keeps the state whole, and secret from
 * backups that leave it out, but not from whoever reads the directory.
 */
async function stateKeyOf({ stateKey }: FederatedConfig, directory: string): Promise<Secret> {
  const path = stateKey ?? join(directory, "state.key");
  if (stateKey === undefined) {
    const fresh = randomBytes(32);
    await writeNew(path, "state key", fresh, 0o600).catch((error: unknown) => {
      if (!(error instanceof CliError && error.code === "exists")) throw error;
    });
    fresh.fill(0);
  }
  const bytes = await readBounded(path, "state key", 32);
  if (bytes.length !== 32) {
    throw new CliError("invalid-file", `The state key ${path} must have exactly 32 bytes.`);
  }
  const secret = new Secret(bytes);
  bytes.fill(0);
  return secret;
}

/** A round that was done before a restart has its receipt already; the first one counts. */
async function keepReceipt(directory: string, round: number, receipt: Uint8Array): Promise<void> {
  const path = join(directory, `round-${String(round).padStart(6, "0")}.receipt`);
  await writeNew(path, "receipt", receipt).catch((error: unknown) => {
    if (!(error instanceof CliError && error.code === "exists")) throw error;
  });
}

function summaryLines(
  result: AggregatorSummary | ParticipantSummary,
  config: FederatedConfig,
): readonly string[] {
  if (result.role === "participant") {
    return [
      `Done: this participant's updates counted in ${result.rounds} rounds; ${result.examples} examples never left it.`,
    ];
  }
  const last = result.history.at(-1);
  const left = Object.entries(result.quarantined);
  return [
    `Done after ${result.rounds} rounds${result.stoppedEarly ? ", early: the loss fell no more" : ""}.`,
    ...(last === undefined
      ? []
      : [
          `Accuracy ${percent(last.accuracy)}, loss ${last.loss.toFixed(4)} on ${last.examples} examples that nobody trained on.`,
        ]),
    ...left.map(([identity, reason]) => `Left out: ${identity}: ${reason}`),
    `Wrote ${result.output ?? "no model"}.`,
    ...(config.receipts === undefined
      ? []
      : [`Receipts: ${config.receipts}; verify them with: vivarium receipt verify FILE`]),
  ];
}

const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

function summaryJson(result: AggregatorSummary | ParticipantSummary): Json {
  return JSON.parse(JSON.stringify(result)) as Json;
}
