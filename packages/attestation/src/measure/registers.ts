/**
 * Registers that an event log leads to, named as policies pin them. What a log proves is what it replays to:
 * whoever takes these values as references trusts whoever gave the log.
 */
import type { Crypto } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { replayDstackLog } from "../eventlog/dstack.ts";
import { type EventLog, parseEventLog } from "../eventlog/log.ts";
import { replayEventLog } from "../eventlog/replay.ts";
import { requireSeparators } from "../eventlog/separators.ts";
import { tpmAlgorithms } from "../tpm/structures.ts";

export type LogMeasurements = Readonly<Record<string, Uint8Array>>;

const rtmrs = 4;
/** Of a TPM's log. SHA-1 is no measurement. */
export type LogBank = "SHA-512" | "SHA-384" | "SHA-256";

/** The strongest first, as verifiers of quotes prefer them. */
const tpmBanks: readonly (readonly [LogBank, number])[] = [
  ["SHA-512", tpmAlgorithms.sha512],
  ["SHA-384", tpmAlgorithms.sha384],
  ["SHA-256", tpmAlgorithms.sha256],
];
/**
 * `rtmr_0` to `rtmr_3` of a TD, 48 bytes each; zeros where nothing was extended.
 * @param bytes a CCEL area, or dstack's JSON.
 * @throws AttestationError `malformed`.
 */
export async function rtmrsOfLog(crypto: Crypto, bytes: Uint8Array): Promise<LogMeasurements> {
  const at = await rtmrsOf(crypto, bytes);
  const named = Array.from({ length: rtmrs }, (_, i) => [`rtmr_${i}`, at(i) ?? new Uint8Array(48)]);
  return Object.fromEntries(named) as LogMeasurements;
}

async function rtmrsOf(
  crypto: Crypto,
  bytes: Uint8Array,
): Promise<(rtmr: number) => Uint8Array | undefined> {
  if (bytes[0] === "[".charCodeAt(0)) {
    const registers = await replayDstackLog(crypto, bytes);
    return (rtmr) => registers.get(rtmr);
  }
  const log = parseEventLog(bytes);
  const registers = await replayed(crypto, log, tpmAlgorithms.sha384, "SHA-384");
  // Register 0 of a CC log is the launch measurement: RTMR 0 is register 1.
  return (rtmr) => registers.get(rtmr + 1);
}

/**
 * `pcr00` and so on of a TPM: those that the log extends. A running system extends those from 8 on beyond it.
 * @param bank default: the strongest that the log has.
 * @throws AttestationError `malformed`, also for a log with SHA-1 alone.
 */
export async function pcrsOfLog(
  crypto: Crypto,
  bytes: Uint8Array,
  bank?: LogBank,
): Promise<LogMeasurements> {
  const log = parseEventLog(bytes);
  const found = tpmBanks.find(
    ([name, id]) => log.banks.includes(id) && (bank === undefined || bank === name),
  );
  if (found === undefined) fail(`has no digests of ${bank ?? "SHA-256 or longer"}`);
  const registers = await replayed(crypto, log, found[1], found[0]);
  const named = [...registers]
    .filter(([index]) => index < 24)
    .sort(([a], [b]) => a - b)
    .map(([index, value]) => [`pcr${String(index).padStart(2, "0")}`, value] as const);
  return Object.fromEntries(named);
}

async function replayed(
  crypto: Crypto,
  log: EventLog,
  bank: number,
  name: string,
): Promise<ReadonlyMap<number, Uint8Array>> {
  // A second separator would let whoever runs later pass for the firmware.
  await requireSeparators(crypto, log, bank);
  return (await replayEventLog(crypto, log, bank)) ?? fail(`has no digests of ${name}`);
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The event log ${reason}.`);
}
