/** What `evidence collect` does. */
import { encodeEvidence, evidenceDigest, type Policy, policyDigest } from "@vivarium/attestation";
import { simulatedAttester } from "@vivarium/attestation/simulated";
import { type Clock, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { writeNew } from "../files.ts";
import { openRoot } from "../identity/open.ts";
import { loadPolicy } from "../policy/load.ts";
import { measurePsi } from "../psi/bundle.ts";
import { reportDataOf } from "./input.ts";

const label = "SIMULATED evidence: no hardware vouches for any of this.";

export const collect: Action<{ reportData: string; policy?: string; output: string }> = async (
  context,
  options,
) => {
  const reportData = requireReportData(options.reportData);
  const policy =
    options.policy === undefined ? undefined : await loadPolicy(context.path(options.policy));
  const state = await context.state({ create: false });
  const root = await openRoot(state);
  const crypto = nodeCrypto();
  const measured = {
    ...(await measurePsi()),
    policy: await digestOf(policy),
    // A configuration belongs to a run; nothing runs here.
    config: new Uint8Array(32),
  };
  const { now } = context.io;
  const clock: Clock = { now, monotonic: now, after: () => () => {} };
  const attester = simulatedAttester({ root: root.signer, crypto, clock, measured });
  const evidence = await attester.collect(reportData, { signal: context.io.signal });
  const file = context.path(options.output);
  await writeNew(file, "evidence file", encodeEvidence(evidence));
  const digest = toHex(await evidenceDigest(crypto, evidence));
  const measurements = Object.fromEntries(
    Object.entries(measured).map(([name, value]) => [name, toHex(value)]),
  );
  context.print(
    { file, type: evidence.type, simulated: true, digest, root: root.fingerprint, measurements },
    [
      label,
      `Wrote ${file}, digest ${digest}`,
      ...Object.entries(measurements).map(([name, value]) => `  ${name.padEnd(8)} ${value}`),
      `  root     ${root.fingerprint}`,
    ],
  );
  return 0;
};

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
