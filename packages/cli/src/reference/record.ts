/** What `reference record` does: keeps what evidence measured, once it has verified. */
import { AttestationError, assessEvidence } from "@vivarium/attestation";
import { type ReferenceRecord, referenceOf } from "@vivarium/attestation/reference";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context } from "../command.ts";
import type { ExitCode } from "../errors/entry.ts";
import { anchorsOf } from "../evidence/anchors.ts";
import {
  evidenceTypeOf,
  readCollateralFiles,
  readEvidenceFile,
  reportDataOf,
  timeOf,
} from "../evidence/input.ts";
import {
  instant,
  measurementLines,
  nameOf,
  recordJson,
  sourceOf,
  writeReferences,
} from "./files.ts";

export interface RecordOptions {
  readonly name: string;
  readonly type?: string;
  readonly collateral?: readonly string[];
  readonly root?: string;
  readonly at?: string;
  readonly reportData?: string;
  readonly allow?: readonly string[];
  readonly pin?: readonly string[];
  readonly output: string;
}

export const record: Action<RecordOptions> = async (context, options, file = "") => {
  const name = nameOf(options.name);
  const reportData = reportDataOf(options.reportData);
  const read = await readEvidenceFile(context.path(file), evidenceTypeOf(options.type));
  const given = await readCollateralFiles((options.collateral ?? []).map(context.path));
  const anchors =
    options.root === undefined ? undefined : await anchorsOf(context.path(options.root));
  const { accepted, verified, findings } = await assessEvidence(read.evidence, {
    verifiers: everyVerifier(anchors),
    crypto: nodeCrypto(),
    now: timeOf(options.at, context.io.now()),
    collateral: { ...read.collateral, ...given },
    ...(reportData === undefined ? {} : { reportData }),
  });
  if (!accepted || verified === undefined) {
    const failed = findings.filter(({ severity }) => severity === "error");
    return refuse(context, file, failed.map(({ rule }) => rule).join(", "));
  }
  let reference: ReferenceRecord;
  try {
    reference = referenceOf(verified, {
      name,
      ...(options.pin === undefined ? {} : { pins: options.pin }),
      ...(options.allow === undefined ? {} : { allow: options.allow }),
      keepRoot: anchors !== undefined,
      origin: {
        how: "recorded",
        at: instant(context.io.now()),
        sources: [await sourceOf(file, read.evidence.bytes)],
      },
    });
  } catch (error) {
    const refused = error instanceof AttestationError && error.code === "refused-by-policy";
    if (!refused) throw error;
    return refuse(context, file, error.message);
  }
  const written = await writeReferences(context, options.output, [reference]);
  context.print({ file, output: written, accepted: true, reference: recordJson(reference) }, [
    `Wrote ${written}: what ${reference.type} evidence of "${name}" measured.`,
    ...measurementLines(reference.measurements),
    ...(verified.type === "simulated" ? ["SIMULATED evidence: no hardware has measured it."] : []),
    "It is as good as the machine that reported it: compute it where you can (vivarium reference launch, log).",
  ]);
  return 0;
};

function refuse(context: Context, file: string, reason: string): ExitCode {
  context.print({ file, output: null, accepted: false, reason }, [
    `REFUSED, nothing was written: ${reason}`,
  ]);
  return 3;
}
