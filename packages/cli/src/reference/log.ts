/** What `reference log` does: registers from an event log. */
import { type LogBank, pcrsOfLog, rtmrsOfLog } from "@vivarium/attestation/measure";
import type { ReferenceRecord } from "@vivarium/attestation/reference";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded } from "../files.ts";
import {
  instant,
  measurementLines,
  nameFor,
  recordJson,
  sourceOf,
  writeReferences,
} from "./files.ts";

export interface LogOptions {
  readonly type: "tdx" | "tpm";
  readonly bank?: LogBank;
  readonly pin?: readonly string[];
  readonly name?: string;
  readonly output?: string;
}

export const log: Action<LogOptions> = async (context, options, file = "") => {
  const { type, bank, pin } = options;
  const name = nameFor(options);
  if (type === "tdx" && bank !== undefined) {
    throw new CliError("usage", "--bank is for TPMs: a TD has SHA-384 only.");
  }
  const bytes = await readBounded(context.path(file), "event log", fileLimits.bootLog);
  const crypto = nodeCrypto();
  const registers =
    type === "tdx" ? await rtmrsOfLog(crypto, bytes) : await pcrsOfLog(crypto, bytes, bank);
  const wanted = pin ?? Object.keys(registers);
  const measurements = Object.fromEntries(
    wanted.map((register) => {
      const value = Object.hasOwn(registers, register) ? registers[register] : undefined;
      if (value !== undefined) return [register, [toHex(value)]];
      const known = Object.keys(registers).join(", ");
      throw new CliError("usage", `The log does not lead to ${register}; it does to ${known}.`);
    }),
  );
  const reference: ReferenceRecord = {
    ...{ name, type, measurements, minimumSvn: {} },
    origin: {
      ...{ how: "computed", at: instant(context.io.now()) },
      sources: [await sourceOf(file, bytes)],
    },
  };
  const written = await writeReferences(context, options.output, [reference]);
  context.print({ type, output: written, reference: recordJson(reference) }, [
    ...measurementLines(measurements),
    ...(written === null ? [] : [`Wrote ${written}.`]),
    "A log is the word of whoever wrote it: evidence that holds these registers confirms it.",
  ]);
  return 0;
};
