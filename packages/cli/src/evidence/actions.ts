/** What `evidence collect`, `verify` and `show` do. */
import {
  AttestationError,
  encodeEvidence,
  evidenceDigest,
  type Policy,
  policyDigest,
  type VerifiedEvidence,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import { type Clock, fromHex, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Json } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { writeNew } from "../files.ts";
import { openRoot } from "../identity/open.ts";
import { loadPolicy } from "../policy/load.ts";
import { measurePsi } from "../psi/bundle.ts";
import { appraise, findingLines, findingsJson } from "./appraisal.ts";
import { readEvidence } from "./file.ts";

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

export const verify: Action<{ policy: string; role: string; reportData: string }> = async (
  context,
  options,
  file = "",
) => {
  const reportData = requireReportData(options.reportData);
  const policy = await loadPolicy(context.path(options.policy));
  if (!Object.hasOwn(policy.roles, options.role)) {
    throw new CliError(
      "usage",
      `The policy has no role ${options.role}; it has ${Object.keys(policy.roles).join(", ")}.`,
    );
  }
  const evidence = await readEvidence(context.path(file));
  const { role } = options;
  const appraisal = await appraise({ evidence, policy, role, now: context.io.now(), reportData });
  context.print({ file, role, type: evidence.type, simulated: true, ...findingsJson(appraisal) }, [
    ...(evidence.type === "simulated" ? [label] : []),
    ...findingLines(appraisal),
    appraisal.accepted
      ? "ACCEPTED. Identity and statement (-) are proven in the handshake of a channel only."
      : "REFUSED by the rules marked FAIL.",
  ]);
  return appraisal.accepted ? 0 : 3;
};

export const show: Action<object> = async (context, _options, file = "") => {
  const evidence = await readEvidence(context.path(file));
  const digest = toHex(await evidenceDigest(nodeCrypto(), evidence));
  const envelope = {
    file,
    type: evidence.type,
    simulated: evidence.type === "simulated",
    digest,
    bytes: evidence.bytes.length,
    attachments: Object.keys(evidence.attachments),
  };
  const read = await claimsOf(evidence, context.io.now());
  context.print({ ...envelope, judged: false, ...("problem" in read ? read : jsonOf(read)) }, [
    evidence.type === "simulated" ? label : `Evidence of type ${evidence.type}.`,
    "Not judged: no policy was applied.",
    `  digest   ${digest}`,
    `  bytes    ${evidence.bytes.length}`,
    ...("problem" in read ? [`  content  not readable: ${read.problem}`] : linesOf(read)),
  ]);
  return 0;
};

async function claimsOf(
  evidence: Parameters<typeof encodeEvidence>[0],
  now: number,
): Promise<VerifiedEvidence | { readonly problem: string }> {
  if (evidence.type !== "simulated") {
    return { problem: `this version does not read evidence of type ${evidence.type}` };
  }
  try {
    return await simulatedVerifier().verify(evidence, {
      crypto: nodeCrypto(),
      now,
      collateral: {},
    });
  } catch (error) {
    if (error instanceof AttestationError) return { problem: error.message };
    throw error;
  }
}

function jsonOf(verified: VerifiedEvidence): Readonly<Record<string, Json>> {
  return {
    root: verified.root,
    measurements: hexOf(verified.measurements),
    svn: verified.svn,
    tcb: verified.tcb.status,
    debug: verified.debug,
    reportData: toHex(verified.reportData),
    issuedAt: verified.issuedAt ?? null,
    notAfter: verified.notAfter,
  };
}

function linesOf(verified: VerifiedEvidence): readonly string[] {
  const time = (ms: number | undefined): string =>
    ms === undefined ? "not stated" : new Date(ms).toISOString();
  return [
    ...Object.entries(hexOf(verified.measurements)).map(
      ([name, value]) => `  ${name.padEnd(8)} ${value}`,
    ),
    `  root     ${verified.root}`,
    `  report   ${toHex(verified.reportData)}`,
    `  tcb      ${verified.tcb.status}, debug ${verified.debug ? "ON" : "off"}`,
    `  issued   ${time(verified.issuedAt)}, valid until ${time(verified.notAfter)}`,
  ];
}

function hexOf(values: Readonly<Record<string, Uint8Array>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toHex(value)]));
}

async function digestOf(policy: Policy | undefined): Promise<Uint8Array> {
  return policy === undefined ? new Uint8Array(32) : await policyDigest(nodeCrypto(), policy);
}

function requireReportData(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{128}$/.test(text)) {
    throw new CliError("usage", "--report-data must be 128 hexadecimal digits (64 bytes).");
  }
  return fromHex(text);
}
