/** Real event logs against the quotes of the machines that they were written on. */
import { fromUtf8, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { parseQuote } from "../../src/dcap/quote.ts";
import { parseEventLog, requireSeparatorsOnce } from "../../src/eventlog/log.ts";
import { replayEventLog } from "../../src/eventlog/replay.ts";
import { examine } from "../../src/examination.ts";
import { readEvidenceForm } from "../../src/forms/index.ts";
import { requireEventLog } from "../../src/tdx/event-log.ts";
import { hasVectors } from "../vectors.ts";
import { readVector } from "./real.ts";

const crypto = nodeCrypto();

async function failedRule(quote: Uint8Array, log: Uint8Array): Promise<string | undefined> {
  const parsed = parseQuote(quote);
  if (parsed.kind === "sgx") throw new Error("not a TDX quote");
  const exam = examine("log");
  try {
    await requireEventLog(exam, crypto, log, parsed.body.rtmr);
    return undefined;
  } catch {
    return exam.findings.at(-1)?.rule ?? "form";
  }
}

describe.skipIf(!hasVectors)("event logs", () => {
  test.each([
    [
      "ccel/go-tdx-guest_cos-113_tdx_quote.bin",
      "ccel/go-tdx-guest_cos-113_ccel_data.bin",
      undefined,
    ],
    ["tdx/ars_tdx_live_quote.bin", "ccel/ars_tdx_ccel_live2.bin", undefined],
    ["tdx/ars_tdx_live_quote.bin", "ccel/ars_tdx_ccel_live.bin", "tdx.eventlog.rtmr-2"],
    [
      "ccel/go-tdx-guest_cos-113_tdx_quote.bin",
      "ccel/go-eventlog_cos-113-intel-tdx-dupe-separator.bin",
      "form",
    ],
  ])("%s with %s: %s", async (quote, log, refused) => {
    expect(await failedRule(readVector(quote), readVector(log))).toBe(refused);
  });

  test.each(["tdx/dstack_quote-report.json", "tdx/dstack_tdx-lite-getquote.json"])(
    "%s replays with runtime events digested again",
    async (file) => {
      const { evidence } = readEvidenceForm(readVector(file));
      const log = evidence.attachments["eventlog"] as Uint8Array;
      expect(await failedRule(evidence.bytes, log)).toBeUndefined();
      // Runtime events come last; firmware's digests cover what the log does not hold.
      const text = fromUtf8(log);
      const at = text.lastIndexOf('"event_payload":"') + '"event_payload":"'.length;
      const changed = utf8(`${text.slice(0, at)}00${text.slice(at)}`);
      expect(await failedRule(evidence.bytes, changed)).toBe("tdx.eventlog.rtmr-3");
    },
  );

  test("a byte of a digest changed is a register changed, wherever it stands", async () => {
    const quote = readVector("ccel/go-tdx-guest_cos-113_tdx_quote.bin");
    const log = readVector("ccel/go-tdx-guest_cos-113_ccel_data.bin");
    const { events } = parseEventLog(log);
    for (const event of events.filter((_, i) => i % 5 === 0)) {
      const digest = event.digests.get(0x0c) as Uint8Array;
      const at = digest.byteOffset - log.byteOffset;
      const copy = new Uint8Array(log);
      copy[at] = (copy[at] as number) ^ 1;
      expect(await failedRule(quote, copy)).toMatch(/^tdx\.eventlog\.rtmr-/);
    }
  });

  test("logs of TPMs replay to the registers that tpm2_eventlog prints", async () => {
    for (const name of [
      "event-bootorder.bin",
      "event-gce-ubuntu-2104-log.bin",
      "event-sd-boot-fedora37.bin",
      "event-uefi-sha1-log.bin",
    ]) {
      const log = parseEventLog(readVector(`tpm/tpm2-tools/${name}`));
      const yaml = fromUtf8(readVector(`tpm/tpm2-tools/${name}.yaml`));
      const printed = yaml.slice(yaml.lastIndexOf("\npcrs:"));
      let compared = 0;
      for (const [bank, title] of [
        [0x04, "sha1"],
        [0x0b, "sha256"],
        [0x0c, "sha384"],
      ] as const) {
        const registers = await replayEventLog(crypto, log, bank);
        const section = printed.split(`  ${title}:\n`)[1]?.split(/\n {2}\w/)[0];
        if (registers === undefined || section === undefined) continue;
        for (const [, index, hex] of section.matchAll(/^ {4}(\d+) *: 0x([0-9a-f]+)/gm)) {
          const value = registers.get(Number(index));
          // Registers that no event extends stay as they were at reset.
          if (value === undefined && /^(0+|f+)$/i.test(hex as string)) continue;
          expect([name, title, index, value && toHex(value)]).toEqual([name, title, index, hex]);
          compared++;
        }
      }
      expect(compared).toBeGreaterThan(4);
    }
  });

  test("SM3 logs of Hygon parse, and older firmware's second separator shows", () => {
    expect(parseEventLog(readVector("ccel/CCEL_data_csv")).banks).toEqual([0x12]);
    const { events } = parseEventLog(readVector("ccel/CCEL_data_ovmf"));
    expect(() => requireSeparatorsOnce(events)).toThrow(/two separators/);
  });
});
