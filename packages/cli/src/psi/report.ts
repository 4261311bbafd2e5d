/** What a finished run says, for people and for machines. */
import { toBase64Url } from "@vivarium/core";
import type { PsiWorkerSummary } from "@vivarium/psi";
import type { Json } from "../command.ts";
import type { PsiConfig } from "../config/psi.ts";
import { duration } from "../progress.ts";

const figure = (value: number): string => value.toPrecision(6).replace(/\.?0+$/, "");
const number = (value: number): string => value.toLocaleString("en-US");

export function summaryLines(result: PsiWorkerSummary, config: PsiConfig): readonly string[] {
  const left = result.missing + result.invalid;
  const lines = [
    result.matches === null
      ? "Done. The result is the receiver's alone."
      : `${number(result.matches)} items in common.`,
    `Own table: ${number(result.rows)} rows, ${number(result.items)} distinct items; peer: ${number(result.peerItems)} items.`,
  ];
  if (result.statistics !== null) {
    const { column, sum, values, mean, standardDeviation } = result.statistics;
    lines.push(
      `Sum of ${column} over ${number(values)} values of them: ${sum} (mean ${figure(mean)}, standard deviation ${figure(standardDeviation)}).`,
    );
  }
  if (result.mode === "sum") {
    lines.push(
      "Mode sum: single numbers are kept from the receiver by its TEE, not by cryptography.",
    );
  }
  if (result.resumed) lines.push("The run went on from its checkpoint, which is removed now.");
  if (result.protocol === "attested") {
    lines.push(
      `Protocol attested: the sets were kept apart by the TEEs alone (peer: ${result.peer.tee}), not by cryptography.`,
    );
  }
  if (left > 0) {
    lines.push(
      `Left out: ${number(result.missing)} rows without a key, ${number(result.invalid)} with a value that does not normalise.`,
    );
  }
  if (result.rowsWritten !== null && config.output !== undefined) {
    lines.push(`Wrote ${number(result.rowsWritten)} rows to ${config.output.path}.`);
  }
  lines.push(
    `Sent ${number(result.bytesSent)} bytes, received ${number(result.bytesReceived)}, in ${duration(Math.max(0, ...Object.values(result.timings)))} (engine: ${result.engine}).`,
    `Receipt: ${config.receipt}; verify it with: vivarium receipt verify ${config.receipt}`,
  );
  return lines;
}

export function summaryJson(result: PsiWorkerSummary, config: PsiConfig): Json {
  const { receipt, inputSalt: _salt, peer, timings, ...figures } = result;
  return {
    ...figures,
    statistics: result.statistics === null ? null : { ...result.statistics },
    peer: { ...peer, findings: peer.findings.length },
    timings: { ...timings },
    output: config.output?.path ?? null,
    receipt: config.receipt,
    receiptBytes: toBase64Url(receipt),
  };
}
