/** `psi run`: launches this party's measured trust domain and shows what it reports. */
import { mkdir, readdir } from "node:fs/promises";
import { toHex } from "@vivarium/core";
import {
  type LaunchPsiOptions,
  launchPsi,
  type PsiPartyConfig,
  type PsiWorkerEvent,
  psiBundle,
} from "@vivarium/psi";
import { Secret } from "@vivarium/seal";
import type { PsiConfig } from "../config/psi.ts";
import { CliError } from "../errors/error.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { evidenceLabel, platformAttester } from "../evidence/source.ts";
import { readBounded, refuseExistingFile, writeNew } from "../files.ts";
import { openIdentity, openRoot } from "../identity/open.ts";
import { type Io, printable } from "../io.ts";
import { loadPolicy } from "../policy/load.ts";
import { createProgress, type Progress } from "../progress.ts";
import { programVersion } from "../version.ts";
import { measurePsi } from "./bundle.ts";
import { createRunLog } from "./log.ts";
import type { PsiRunOptions } from "./options.ts";
import { summaryJson, summaryLines } from "./report.ts";

/** @returns the exit code. @throws errors of the packages involved. */
export async function runPsi(options: PsiRunOptions, io: Io): Promise<number> {
  const { config, state, json } = options;
  const policy = await loadPolicy(config.policy);
  const identity = await openIdentity(state, config.identity);
  const attestation = await attestationOf(options, io);
  const collateral = await readCollateralFiles(config.collateral);
  await refuseExisting(config);
  using checkpointKey = await openCheckpoint(options);
  const progress = createProgress(io, json ? "json" : "text");
  progress.note(
    attestation.kind === "simulated"
      ? "Evidence is simulated: it proves the code by a development root, and isolates nothing."
      : evidenceLabel(attestation.attester.type),
  );
  const bundle = options.bundle ?? psiBundle();
  // Hashing 170 MB twice is for those who look at the metrics; the launcher measures anyway.
  const code = config.metrics === undefined ? undefined : (await measurePsi(bundle)).code;
  const operations = await createRunLog({
    metrics: config.metrics,
    io,
    verbose: options.verbose,
    version: await programVersion(),
    code,
  });
  try {
    await using side = await launchPsi({
      bundle,
      role: config.role,
      policy,
      config: { ...partyConfig(config), collateral },
      identity: identity.signer,
      attestation,
      ...(checkpointKey === undefined ? {} : { checkpointKey }),
      log: operations.log,
      signal: io.signal,
      onEvent: (event) => show(event, progress, json ? io : undefined),
    });
    operations.ready();
    const result = await side.result;
    progress.finish();
    await writeNew(config.receipt, "receipt", result.receipt);
    await writeNew(
      `${config.receipt}.opening.json`,
      "opening of the receipt's input commitment",
      `${JSON.stringify({ commitment: "input", salt: toHex(result.inputSalt) })}\n`,
      0o600,
    );
    io.stdout.write(
      json
        ? `${JSON.stringify(summaryJson(result, config))}\n`
        : `${summaryLines(result, config).map(printable).join("\n")}\n`,
    );
    return 0;
  } finally {
    progress.finish();
    await operations.close();
  }
}

async function attestationOf(
  { config, state }: PsiRunOptions,
  io: Io,
): Promise<LaunchPsiOptions["attestation"]> {
  const { evidence: source, tpm } = config;
  if (source === "simulated") return { kind: "simulated", root: (await openRoot(state)).signer };
  return { kind: "platform", attester: await platformAttester({ source, tpm, state, io }) };
}

/** A run may take hours: better to hear now that its result has no place. */
async function refuseExisting(config: PsiConfig): Promise<void> {
  await refuseExistingFile(config.receipt, "receipt");
  await refuseExistingFile(`${config.receipt}.opening.json`, "opening of the receipt");
  if (config.output !== undefined) await refuseExistingFile(config.output.path, "output");
}

const checkpointKeyBytes = 32;

/** The directory exists afterwards, for this user alone. @throws CliError `invalid-config` for another key. */
async function openCheckpoint({ config, resume }: PsiRunOptions): Promise<Secret | undefined> {
  const { checkpoint } = config;
  if (checkpoint === undefined) {
    if (!resume) return undefined;
    throw new CliError("invalid-config", "psi resume needs a checkpoint in the configuration.");
  }
  const bytes = await readBounded(checkpoint.key, "key of the checkpoint", checkpointKeyBytes);
  if (bytes.length !== checkpointKeyBytes) {
    throw new CliError(
      "invalid-config",
      `The key of the checkpoint has ${bytes.length} bytes, not 32; make one: head -c 32 /dev/urandom > FILE`,
    );
  }
  await mkdir(checkpoint.directory, { recursive: true, mode: 0o700 });
  const saved = (await readdir(checkpoint.directory)).includes("session.sealed");
  if (resume && !saved) {
    throw new CliError(
      "not-found",
      `There is no checkpoint in ${checkpoint.directory}: begin with psi run.`,
    );
  }
  const key = new Secret(bytes);
  bytes.fill(0);
  return key;
}

function partyConfig(config: PsiConfig): PsiPartyConfig {
  const { path, format, delimiter, header, match } = config.input;
  return {
    ...config.network,
    input: {
      path,
      ...(format === undefined ? {} : { format }),
      ...(delimiter === undefined ? {} : { delimiter }),
      ...(header === undefined ? {} : { header }),
      ...(match === undefined ? {} : { match }),
      keys: config.input.keys.flatMap((key) =>
        key.columns.map((column, i) => ({
          column,
          ...(key.as?.[i] === undefined ? {} : { as: key.as[i] }),
          normalise: key.normalise.map((name) =>
            name === "e164" && key.region !== undefined ? `e164:${key.region}` : name,
          ),
        })),
      ),
    },
    ...(config.output === undefined ? {} : { output: config.output }),
    protocol: config.protocol,
    mode: config.mode,
    ...(config.labels === undefined ? {} : { labels: config.labels }),
    ...(config.sum === undefined ? {} : { sum: config.sum }),
    resultTo: config.resultTo,
    ...(config.checkpoint === undefined ? {} : { checkpoint: config.checkpoint.directory }),
    ...(config.minItems === undefined ? {} : { minItems: config.minItems }),
    ...(config.maxItems === undefined ? {} : { maxItems: config.maxItems }),
    timeoutMs: config.timeoutMs,
  };
}

/** @param machine where events go as JSON lines; absent for people. */
function show(value: PsiWorkerEvent, progress: Progress, machine: Io | undefined): void {
  if (value.type === "progress") {
    const { phase, done, total, rate, etaMs } = value;
    // There is nothing to count while the peer makes up its mind.
    if (phase === "waiting") return;
    progress.update({ phase, done, total: total ?? 0, rate, etaMs: etaMs ?? undefined });
    return;
  }
  if (machine !== undefined) {
    machine.stderr.write(`${JSON.stringify({ event: value })}\n`);
    return;
  }
  for (const line of eventLines(value)) progress.note(line);
}

/** @internal Shared with the demo. */
export function eventLines(event: Exclude<PsiWorkerEvent, { type: "progress" }>): string[] {
  switch (event.type) {
    case "waiting":
      return [
        event.how === "listen"
          ? `Waiting for the peer on ${event.address}.`
          : `Nobody answers on ${event.address} yet; trying again until somebody does.`,
      ];
    case "refused":
      return [
        `Turned a peer away: ${event.message}`,
        ...event.findings
          .filter(({ ok }) => !ok)
          .map(({ rule, expected, actual }) => `  ${rule}: expected ${expected}, got ${actual}`),
      ];
    case "interrupted":
      return [`${event.message} The checkpoint has the session: waiting for the peer again.`];
    case "attested": {
      const { peer } = event;
      return [
        `Attested the ${peer.role}: identity ${peer.identity}`,
        `  evidence ${peer.tee}, isolation ${peer.isolation}, bound to the ${peer.binding}`,
        `  code ${peer.measurements["code"] ?? "unknown"}`,
      ];
    }
  }
}
