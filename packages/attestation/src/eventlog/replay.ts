/** Replays an event log: what the registers must hold if the log is whole. */
import { sha1 } from "@noble/hashes/legacy.js";
import { type Crypto, concat, fromUtf8 } from "@vivarium/core";
import { sm3 } from "../sm/sm3.ts";
import { tpmAlgorithms } from "../tpm/structures.ts";
import { type EventLog, eventTypes, type LogEvent, sm3Algorithm } from "./log.ts";

export type LogHash = (data: Uint8Array) => Promise<Uint8Array> | Uint8Array;

/** Undefined for a bank whose hash is not known here. */
export function logHash(crypto: Crypto, bank: number): LogHash | undefined {
  switch (bank) {
    case tpmAlgorithms.sha1:
      return sha1;
    case tpmAlgorithms.sha256:
      return (data) => crypto.digest("SHA-256", data);
    case tpmAlgorithms.sha384:
      return (data) => crypto.digest("SHA-384", data);
    case tpmAlgorithms.sha512:
      return (data) => crypto.digest("SHA-512", data);
    case sm3Algorithm:
      return sm3;
    default:
      return undefined;
  }
}

/**
 * Registers by index, for those that any event extends.
 * @returns undefined if the log has no such bank.
 */
export async function replayEventLog(
  crypto: Crypto,
  log: EventLog,
  bank: number,
): Promise<ReadonlyMap<number, Uint8Array> | undefined> {
  const hash = logHash(crypto, bank);
  if (hash === undefined || !log.banks.includes(bank)) return undefined;
  const registers = new Map<number, Uint8Array>();
  for (const event of log.events) {
    const digest = event.digests.get(bank);
    if (digest === undefined) continue;
    if (event.type === eventTypes.noAction) {
      const locality = startupLocality(event);
      // The TPM starts PCR 0 at the locality that its firmware began in.
      if (locality !== undefined && !registers.has(0)) {
        const start = new Uint8Array(digest.length);
        start[digest.length - 1] = locality;
        registers.set(0, start);
      }
      continue;
    }
    const before = registers.get(event.register) ?? new Uint8Array(digest.length);
    registers.set(event.register, await hash(concat(before, digest)));
  }
  return registers;
}

function startupLocality({ register, data }: LogEvent): number | undefined {
  const name = "StartupLocality\0";
  if (register !== 0 || data.length !== name.length + 1) return undefined;
  try {
    return fromUtf8(data.subarray(0, name.length)) === name ? data[name.length] : undefined;
  } catch {
    return undefined;
  }
}
