/** What `evidence verify` and `show` are given: files of evidence and collateral, a time, a type. */
import {
  AttestationError,
  type Collateral,
  type EvidenceType,
  evidenceTypes,
} from "@vivarium/attestation";
import {
  mergeCollateral,
  type Recognised,
  readCollateralForm,
  readEvidenceForm,
} from "@vivarium/attestation/forms";
import { fromHex } from "@vivarium/core";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded } from "../files.ts";

/** @throws CliError for the file; AttestationError for its content. */
export async function readEvidenceFile(path: string, type?: EvidenceType): Promise<Recognised> {
  return readEvidenceForm(await readBounded(path, "evidence file", fileLimits.evidence), type);
}

/** All files together. @throws CliError naming the file that is no collateral. */
export async function readCollateralFiles(paths: readonly string[]): Promise<Collateral> {
  const parts: Collateral[] = [];
  for (const path of paths) {
    const bytes = await readBounded(path, "collateral file", fileLimits.collateral);
    try {
      parts.push(readCollateralForm(bytes));
    } catch (cause) {
      if (!(cause instanceof AttestationError)) throw cause;
      throw new CliError("invalid-file", `The collateral file ${path}: ${cause.message}`, {
        cause,
      });
    }
  }
  return mergeCollateral(parts);
}

/** @throws CliError `usage`, with the types there are. */
export function evidenceTypeOf(text: string | undefined): EvidenceType | undefined {
  if (text === undefined) return undefined;
  const type = evidenceTypes.find((known) => known === text);
  if (type === undefined) {
    throw new CliError("usage", `--type must be one of ${evidenceTypes.join(", ")}.`);
  }
  return type;
}

/** A date of ISO 8601 or seconds since the epoch; milliseconds. @throws CliError `usage`. */
export function timeOf(text: string | undefined, now: number): number {
  if (text === undefined) return now;
  const time = /^\d{1,12}$/.test(text) ? Number(text) * 1000 : Date.parse(text);
  if (!Number.isFinite(time)) {
    throw new CliError("usage", "--at must be a time such as 2026-03-20T12:00:00Z.");
  }
  return time;
}

/** 1 to 64 bytes. @throws CliError `usage`. */
export function reportDataOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  if (!/^(?:[0-9a-fA-F]{2}){1,64}$/.test(text)) {
    throw new CliError(
      "usage",
      "--report-data must be 2 to 128 hexadecimal digits (1 to 64 bytes).",
    );
  }
  return fromHex(text);
}
