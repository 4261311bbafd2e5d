/** What `evidence collect` does. */
import {
  type Attester,
  encodeEvidence,
  evidenceDigest,
  fingerprint,
  type Policy,
  policyDigest,
} from "@vivarium/attestation";
import { defaultTpmAddress, readTpmAk } from "@vivarium/attestation/collect";
import { simulatedAttester } from "@vivarium/attestation/simulated";
import { tpmPublicKey } from "@vivarium/attestation/tpm";
import { type Clock, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded, writeNew } from "../files.ts";
import { openRoot } from "../identity/open.ts";
import { loadPolicy } from "../policy/load.ts";
import { measurePsi } from "../psi/bundle.ts";
import { reportDataOf } from "./input.ts";
import { evidenceLabel, evidenceSourceOf, platformAttester } from "./source.ts";

export interface CollectOptions {
  readonly reportData: string;
  readonly from?: string;
  readonly tpm?: string;
  readonly ak?: string;
  readonly eventLog?: string;
  readonly policy?: string;
  readonly output: string;
}

interface Source {
  readonly attester: Attester;
  /** For people and for `--json`. */
  readonly facts: Readonly<Record<string, string>>;
}

export const collect: Action<CollectOptions> = async (context, options) => {
  const reportData = requireReportData(options.reportData);
  const source = evidenceSourceOf(options.from);
  const simulated = source === "simulated";
  for (const name of simulated ? (["tpm", "ak"] as const) : (["policy"] as const)) {
    if (options[name] !== undefined) {
      throw new CliError("usage", `--${name} has no meaning with --from ${source}.`);
    }
  }
  if (options.eventLog !== undefined && source !== "tpm") {
    throw new CliError("usage", "--event-log has a meaning with --from tpm only.");
  }
  const eventLog =
    options.eventLog === undefined
      ? undefined
      : await readBounded(context.path(options.eventLog), "event log", fileLimits.eventLog);
  const state = await context.state({ create: !simulated });
  const { attester, facts }: Source = simulated
    ? await developmentRoot(context, options)
    : {
        attester: await platformAttester({
          source,
          tpm: options.tpm,
          eventLog,
          state,
          io: context.io,
        }),
        facts: {},
      };
  const evidence = await attester.collect(reportData, { signal: context.io.signal });
  const file = context.path(options.output);
  await writeNew(file, "evidence file", encodeEvidence(evidence));
  const ak = options.ak === undefined ? undefined : await writeAk(context, options);
  const digest = toHex(await evidenceDigest(nodeCrypto(), evidence));
  const { root, ...measurements } = facts;
  context.print(
    {
      file,
      type: evidence.type,
      simulated,
      digest,
      ...(root === undefined ? {} : { root, measurements }),
      ...(ak === undefined ? {} : { ak: ak.file, root: ak.root }),
    },
    [
      evidenceLabel(evidence.type),
      `Wrote ${file}, digest ${digest}`,
      ...Object.entries(facts).map(([name, value]) => `  ${name.padEnd(8)} ${value}`),
      ...(ak === undefined
        ? []
        : [
            `Wrote ${ak.file}: the attestation key, for peers' collateral. Their policies name it as root:`,
            `  root     ${ak.root}`,
          ]),
    ],
  );
  return 0;
};

async function developmentRoot(context: Context, options: CollectOptions): Promise<Source> {
  const policy =
    options.policy === undefined ? undefined : await loadPolicy(context.path(options.policy));
  const root = await openRoot(await context.state({ create: false }));
  const measured = {
    ...(await measurePsi()),
    policy: await digestOf(policy),
    // A configuration belongs to a run; nothing runs here.
    config: new Uint8Array(32),
  };
  const { now } = context.io;
  const clock: Clock = { now, monotonic: now, after: () => () => {} };
  const crypto = nodeCrypto();
  const hex = Object.entries(measured).map(([name, value]) => [name, toHex(value)] as const);
  return {
    attester: simulatedAttester({ root: root.signer, crypto, clock, measured }),
    facts: { ...Object.fromEntries(hex), root: root.fingerprint },
  };
}

/** TPMT_PUBLIC: with its attributes, so that a verifier sees what kind of key it is. */
async function writeAk(
  context: Context,
  options: CollectOptions,
): Promise<{ readonly file: string; readonly root: string }> {
  const file = context.path(options.ak as string);
  const key = await readTpmAk({ address: options.tpm ?? defaultTpmAddress });
  await writeNew(file, "attestation key", key);
  return { file, root: await fingerprint(nodeCrypto(), tpmPublicKey(key)) };
}

async function digestOf(policy: Policy | undefined): Promise<Uint8Array> {
  return policy === undefined ? new Uint8Array(32) : await policyDigest(nodeCrypto(), policy);
}

/** What the attester signs is a binding: 64 bytes, no more and no less. */
function requireReportData(text: string): Uint8Array {
  const bytes = reportDataOf(text);
  if (bytes?.length !== 64) {
    throw new CliError("usage", "--report-data must be 128 hexadecimal digits (64 bytes).");
  }
  return bytes;
}
