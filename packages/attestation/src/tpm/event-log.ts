/** The firmware's event log beside a quote: which of the quoted PCRs it explains. */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { parseEventLog } from "../eventlog/log.ts";
import { replayEventLog } from "../eventlog/replay.ts";
import { requireSeparators } from "../eventlog/separators.ts";
import type { Claim } from "../evidence.ts";
import type { Examination } from "../examination.ts";
import type { PcrBanks } from "./container.ts";
import { strongestBank } from "./quote.ts";
import { digestBytes, type TpmQuote } from "./structures.ts";

const source = "TCG PC Client Platform Firmware Profile 3.3.4 and 10.4";
/** PCRs that the firmware alone extends: its log must account for them wholly. */
const firmwarePcrs = 8;

/**
 * Replays the log in every quoted bank that it has, the one whose values count as measurements among
 * them. PCRs 0 to 7 must come out as quoted; later ones, which a running system extends beyond the log, are
 * told apart in the claims.
 * @throws AttestationError `not-genuine` or `malformed`.
 */
export async function requireTpmLog(
  exam: Examination,
  crypto: Crypto,
  bytes: Uint8Array,
  quote: TpmQuote,
  pcrs: PcrBanks,
): Promise<Claim> {
  const log = parseEventLog(bytes);
  const strongest = strongestBank(pcrs);
  const counts = strongest !== undefined && log.banks.includes(strongest);
  const wanted = `digests of bank ${strongest === undefined ? "none" : nameOf(strongest)}`;
  exam.require("tpm.eventlog.bank", counts, wanted, log.banks.map(nameOf).join(", "), source);
  const explained: string[] = [];
  const unexplained: string[] = [];
  for (const { hash, indices } of quote.selections) {
    const replayed = await replayEventLog(crypto, log, hash);
    if (replayed === undefined) continue;
    await requireSeparators(crypto, log, hash);
    for (const index of indices) {
      const value = pcrs.get(hash)?.get(index) ?? new Uint8Array(0);
      const other = replayed.get(index) ?? new Uint8Array(digestBytes[hash] ?? 0);
      const same = equalBytes(other, value);
      const name = `pcr${String(index).padStart(2, "0")}`;
      if (index < firmwarePcrs) {
        const rule = `tpm.eventlog.pcr-${index}`;
        exam.require(rule, same, toHex(value), toHex(other), source);
      }
      if (hash === strongest) (same ? explained : unexplained).push(name);
    }
  }
  return { events: log.events.length, explained, unexplained };
}

const nameOf = (bank: number): string => `0x${bank.toString(16).padStart(4, "0")}`;
