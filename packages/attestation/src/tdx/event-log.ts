/** The event log beside a quote must explain all four RTMRs, or it explains nothing. */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import type { TdReport } from "../dcap/quote.ts";
import { replayDstackLog } from "../eventlog/dstack.ts";
import { parseEventLog } from "../eventlog/log.ts";
import { replayEventLog } from "../eventlog/replay.ts";
import { requireSeparators } from "../eventlog/separators.ts";
import type { Examination } from "../examination.ts";
import { tpmAlgorithms } from "../tpm/structures.ts";

const source = "UEFI 2.10 section 38.4; Intel TDX virtual firmware design guide 8";

/** @param log a CCEL area or dstack's JSON. @throws AttestationError `not-genuine` or `malformed`. */
export async function requireEventLog(
  exam: Examination,
  crypto: Crypto,
  log: Uint8Array,
  rtmrs: TdReport["rtmr"],
): Promise<void> {
  const registers = await registersOf(crypto, log);
  for (const [i, rtmr] of rtmrs.entries()) {
    const replayed = registers(i) ?? new Uint8Array(48);
    const ok = equalBytes(replayed, rtmr);
    exam.require(`tdx.eventlog.rtmr-${i}`, ok, toHex(rtmr), toHex(replayed), source);
  }
}

async function registersOf(
  crypto: Crypto,
  bytes: Uint8Array,
): Promise<(rtmr: number) => Uint8Array | undefined> {
  const open = "[".charCodeAt(0);
  if (bytes[0] === open) {
    const registers = await replayDstackLog(crypto, bytes);
    return (rtmr) => registers.get(rtmr);
  }
  const log = parseEventLog(bytes);
  await requireSeparators(crypto, log, tpmAlgorithms.sha384);
  const registers = await replayEventLog(crypto, log, tpmAlgorithms.sha384);
  // Register 0 of a CC log is the launch measurement: RTMR0 is register 1.
  return (rtmr) => registers?.get(rtmr + 1);
}
