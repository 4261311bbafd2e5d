/** Launch digests that virtee/sev-snp-measure publishes, and registers that real quotes hold. */
import { readFileSync } from "node:fs";
import { fromHex, fromUtf8, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { parseQuote } from "../../src/dcap/quote.ts";
import { AttestationError } from "../../src/index.ts";
import {
  cpuSignatures,
  type Machine,
  pcrsOfLog,
  rtmrsOfLog,
  sevEsLaunchDigest,
  sevLaunchDigest,
  snpLaunchDigest,
} from "../../src/measure/index.ts";
import { hasVectors, vectorsPath } from "../vectors.ts";
import { readVector } from "./real.ts";

const crypto = nodeCrypto();

interface Published {
  readonly name: string;
  readonly call: string;
  readonly hex_strings: readonly string[];
}

/** Positional arguments of the published test; strings and None as they stand there. */
function argumentsOf(call: string): readonly string[] {
  return [...call.matchAll(/(?:"[^"]*"|'[^']*'|\[[^\]]*\]|[^,"'[\]])+/g)].map(([text]) =>
    text.trim(),
  );
}

async function digestOf({ call, hex_strings: hex }: Published): Promise<string> {
  const args = argumentsOf(call);
  const [mode, count = "", signature = "", image = "", kernel, initrd, append, features = ""] =
    args;
  const model = /CPU_SIGS\["(.*)"\]/.exec(signature)?.[1];
  const [, other] = /VMMType\.(ec2|gce)/.exec(call) ?? [];
  const machine: Machine =
    other === undefined
      ? { hypervisor: "qemu", processor: cpuSignatures.get(model ?? "") ?? 0 }
      : { hypervisor: other as "ec2" | "gce" };
  // The published kernels and initrds are all /dev/null.
  const empty = new Uint8Array(0);
  const boot = {
    ...{ kernel: empty },
    ...(initrd === "None" ? {} : { initrd: empty }),
    ...(append === undefined || append === "None" ? {} : { commandLine: append.slice(1, -1) }),
  };
  const launch = {
    firmware: readVector(`snp/measure/${image.slice(1, -1).split("/").at(-1)}`),
    ...(kernel === "None" ? {} : { boot }),
    machine,
    processors: Number(count),
  };
  switch (mode) {
    case "SevMode.SEV_SNP":
      return toHex(
        await snpLaunchDigest(crypto, {
          ...launch,
          features: Number(features),
          ...(call.includes("snp_ovmf_hash_str")
            ? { firmwareDigest: fromHex(hex.join("").slice(0, 96)) }
            : {}),
        }),
      );
    case "SevMode.SEV_ES":
      return toHex(await sevEsLaunchDigest(crypto, launch));
    case "SevMode.SEV":
      return toHex(await sevLaunchDigest(crypto, launch));
    default:
      throw new Error(`unknown mode ${mode}`);
  }
}

const published = (): readonly Published[] =>
  hasVectors
    ? (JSON.parse(
        readFileSync(vectorsPath("snp", "measure", "expected_from_tests.json"), "utf8"),
      ) as readonly Published[])
    : [];
// Of a VMSA dump no value is published, and the images of the SVSM cases are not among the vectors.
const known = published().filter(({ name }) => !/dump_vmsa|svsm/.test(name));

describe.skipIf(!hasVectors)("published launch digests", () => {
  test("there are all of them", () => {
    expect(known.filter(({ hex_strings }) => hex_strings.length > 0)).toHaveLength(21);
    expect(known.filter(({ hex_strings }) => hex_strings.length === 0)).toHaveLength(3);
  });

  test.each(known)("$name", async (one) => {
    if (one.hex_strings.length === 0) {
      await expect(digestOf(one)).rejects.toThrow(AttestationError);
      return;
    }
    const joined = one.hex_strings.join("");
    const wanted = one.call.includes("snp_ovmf_hash_str") ? joined.slice(96) : joined;
    expect(await digestOf(one)).toBe(wanted);
  });
});

describe.skipIf(!hasVectors)("registers of event logs", () => {
  test.each([
    ["ccel/go-tdx-guest_cos-113_ccel_data.bin", "ccel/go-tdx-guest_cos-113_tdx_quote.bin"],
    ["ccel/ars_tdx_ccel_live2.bin", "tdx/ars_tdx_live_quote.bin"],
  ])("%s leads to the RTMRs of its quote", async (log, quote) => {
    const parsed = parseQuote(readVector(quote));
    if (parsed.kind === "sgx") throw new Error("not a TD's quote");
    const registers = Object.values(await rtmrsOfLog(crypto, readVector(log)));
    expect(registers.map(toHex)).toEqual(parsed.body.rtmr.map(toHex));
  });

  test("a second separator is refused", async () => {
    const log = readVector("ccel/go-eventlog_cos-113-intel-tdx-dupe-separator.bin");
    await expect(rtmrsOfLog(crypto, log)).rejects.toThrow(AttestationError);
  });

  test("of a TPM, in the bank that is asked for, and never in SHA-1", async () => {
    const log = readVector("tpm/tpm2-tools/event-gce-ubuntu-2104-log.bin");
    const yaml = fromUtf8(readVector("tpm/tpm2-tools/event-gce-ubuntu-2104-log.bin.yaml"));
    const printed = yaml.slice(yaml.lastIndexOf("  sha256:"));
    const registers = Object.entries(await pcrsOfLog(crypto, log, "SHA-256"));
    expect(registers.length).toBeGreaterThan(8);
    for (const [name, value] of registers) {
      const index = Number(name.slice(3));
      expect(printed).toMatch(new RegExp(`^ +${index} *: 0x${toHex(value)}`, "m"));
    }
    const old = readVector("tpm/tpm2-tools/event-uefi-sha1-log.bin");
    await expect(pcrsOfLog(crypto, old)).rejects.toThrow(AttestationError);
  });
});
