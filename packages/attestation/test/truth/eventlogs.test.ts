/** Real event logs against the quotes of the machines that they were written on. */
import { readdirSync } from "node:fs";
import { fromUtf8, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { parseQuote } from "../../src/dcap/quote.ts";
import { parseEventLog } from "../../src/eventlog/log.ts";
import { replayEventLog } from "../../src/eventlog/replay.ts";
import { requireSeparators } from "../../src/eventlog/separators.ts";
import { examine } from "../../src/examination.ts";
import { readEvidenceForm } from "../../src/forms/index.ts";
import { requireEventLog } from "../../src/tdx/event-log.ts";
import { decodeTpmEvidence, tpmVerifier } from "../../src/tpm/index.ts";
import { hasVectors, vectorsPath } from "../vectors.ts";
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
      expect(await failedRule(quote, copy)).toMatch(
        event.type === 4 ? /^form$/ : /^tdx\.eventlog\.rtmr-/,
      );
    }
  });

  test("a byte of the structure changed is refused, or is a type or data, which count for nothing", async () => {
    const quote = readVector("ccel/go-tdx-guest_cos-113_tdx_quote.bin");
    const log = readVector("ccel/go-tdx-guest_cos-113_ccel_data.bin");
    const { events } = parseEventLog(log);
    // What nothing measures: types and data of events, the header's digest, class and version, the padding.
    const free = new Set<number>();
    const mark = (from: number, length: number): void => {
      for (let i = 0; i < length; i++) free.add(from + i);
    };
    let end = 0;
    for (const { digests, data } of events) {
      const digest = digests.get(0x0c) as Uint8Array;
      const start = digest.byteOffset - log.byteOffset - 14;
      if (end === 0) mark(0, start);
      mark(start + 4, 4);
      end = data.byteOffset - log.byteOffset + data.length;
      mark(end - data.length, data.length);
    }
    // The last event may claim some of the padding as its data.
    mark(end - (events.at(-1)?.data.length ?? 0) - 4, 4);
    let refused = 0;
    for (let at = 0; at < end; at += free.has(at) ? 7 : 1) {
      const copy = new Uint8Array(log);
      copy[at] = (copy[at] as number) ^ (1 << (at % 8));
      const rule = await failedRule(quote, copy);
      if (rule !== undefined) refused++;
      else expect([at, free.has(at)]).toEqual([at, true]);
    }
    expect(refused).toBeGreaterThan(1000);
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

  test("SM3 logs of Hygon parse, and older firmware's second separator shows", async () => {
    expect(parseEventLog(readVector("ccel/CCEL_data_csv")).banks).toEqual([0x12]);
    const log = parseEventLog(readVector("ccel/CCEL_data_ovmf"));
    await expect(requireSeparators(crypto, log, 0x0c)).rejects.toThrow(/two separators/);
  });

  test("a second separator shows under any other type, and a type without its digest", async () => {
    const bytes = readVector("ccel/go-eventlog_cos-113-intel-tdx-dupe-separator.bin");
    const log = parseEventLog(bytes);
    const separators = log.events.filter(({ register, type }) => register === 1 && type === 4);
    expect(separators).toHaveLength(2);
    for (const type of [0x0d, 0x8000_0001, 0x8000_0002, 0x8000_00e0]) {
      const events = log.events.map((event) =>
        event === separators[1] ? { ...event, type } : event,
      );
      await expect(requireSeparators(crypto, { ...log, events }, 0x0c)).rejects.toThrow(/two sep/);
    }
    const genuine = parseEventLog(readVector("ccel/go-tdx-guest_cos-113_ccel_data.bin"));
    await requireSeparators(crypto, genuine, 0x0c);
    const events = genuine.events.map((event) => ({ ...event, type: 4 }));
    await expect(requireSeparators(crypto, { ...genuine, events }, 0x0c)).rejects.toThrow(
      /whose digest is of something else/,
    );
  });

  test("every log of the folder parses, but the one that is cut short", () => {
    const folders = ["tpm/eventlogs", "tpm/tpm2-tools", "tpm/go-attestation", "ccel"];
    const logs = folders.flatMap((folder) =>
      readdirSync(vectorsPath(folder))
        .filter((name) => /(\.bin|eventlog)$|^CCEL_[A-Za-z_]+$/.test(name))
        .filter((name) => !/quote|nonce|table|json/.test(name))
        .map((name) => `${folder}/${name}`),
    );
    expect(logs.length).toBeGreaterThan(30);
    for (const name of logs)
      expect([name, parseEventLog(readVector(name)).banks.length > 0]).toEqual([name, true]);
  });

  test("TPM evidence: PCRs 0 to 7 are what the log replays to, wherever a digest is changed", async () => {
    const { evidence } = readEvidenceForm(readVector("tpm/go-tpm-tools/gce-cos-85-nonce9009.json"));
    const ak = decodeTpmEvidence(evidence.bytes).ak;
    const verify = (eventlog: Uint8Array) =>
      tpmVerifier().verify(
        { ...evidence, attachments: { eventlog } },
        { crypto, now: Date.UTC(2022, 0), collateral: { ak } },
      );
    const log = evidence.attachments["eventlog"] as Uint8Array;
    const { claims } = await verify(log);
    const { explained } = (claims["tpm"] as { eventlog: { explained: string[] } }).eventlog;
    // The PCRs that the index says the log replays to, and those that nobody extended.
    expect(explained).toEqual(
      expect.arrayContaining(["pcr00", "pcr04", "pcr07", "pcr08", "pcr09"]),
    );
    let refused = 0;
    for (const event of parseEventLog(log).events) {
      const digest = event.digests.get(0x0b) as Uint8Array;
      if (event.type === 3 || event.register > 7) continue;
      const copy = new Uint8Array(log);
      const at = digest.byteOffset - log.byteOffset + 5;
      copy[at] = (copy[at] as number) ^ 1;
      await expect(verify(copy)).rejects.toThrow(/eventlog|separator/);
      refused++;
    }
    expect(refused).toBeGreaterThan(15);
    // A log of another machine, and one that has the bank no more.
    await expect(verify(readVector("tpm/eventlogs/rhel8-uefi.bin"))).rejects.toThrow();
    await expect(verify(readVector("tpm/eventlogs/debian-10.bin"))).rejects.toThrow(/bank/);
  });

  test("go-attestation's document: its SHA-1 signature is refused, its log replays", async () => {
    const { evidence } = readEvidenceForm(
      readVector("tpm/go-attestation/windows_gcp_shielded_vm.json"),
    );
    const parts = decodeTpmEvidence(evidence.bytes);
    const log = parseEventLog(evidence.attachments["eventlog"] as Uint8Array);
    const registers = await replayEventLog(crypto, log, 0x04);
    const pcrs = parts.pcrs.get(0x04) as ReadonlyMap<number, Uint8Array>;
    let same = 0;
    for (const [index, value] of registers ?? []) {
      if (index > 7) continue;
      expect([index, toHex(value)]).toEqual([index, toHex(pcrs.get(index) as Uint8Array)]);
      same++;
    }
    expect(same).toBeGreaterThan(3);
    const context = { crypto, now: Date.UTC(2022, 0), collateral: { ak: parts.ak } };
    await expect(tpmVerifier().verify(evidence, context)).rejects.toThrow(/another hash/);
  });
});
