/**
 * Launch digests of a synthetic image. Expected values are those of virtee/sev-snp-measure 0.0.13 for the same
 * image, kernel and machine: two programs that share no code.
 */
import { fromHex, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { AttestationError } from "../src/index.ts";
import {
  cpuSignature,
  cpuSignatures,
  type DirectBoot,
  type Machine,
  parseFirmware,
  rtmrsOfLog,
  sevEsLaunchDigest,
  sevLaunchDigest,
  snpFirmwareDigest,
  snpLaunchDigest,
} from "../src/measure/index.ts";
import { everySection, syntheticFirmware } from "./synthetic/firmware.ts";

const crypto = nodeCrypto();
const firmware = syntheticFirmware();
const boot: DirectBoot = {
  kernel: utf8("a kernel"),
  initrd: utf8("an initrd"),
  commandLine: "console=ttyS0",
};
const qemu = (model: string): Machine => ({
  hypervisor: "qemu",
  processor: cpuSignatures.get(model) ?? Number.NaN,
});

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    return error instanceof AttestationError ? error.code : `other: ${String(error)}`;
  }
}

describe("launch digests", () => {
  test("of an image alone", async () => {
    expect(toHex(await snpFirmwareDigest(crypto, firmware))).toBe(
      "c278355517df545899fafe4b7d38bafecc51b5b0d4fea5ce91b20ad6b8382da45fe51e2c2beff06ea89a067d994e50bc",
    );
  });

  test.each([
    [
      ...[qemu("EPYC-Milan"), 3, 0x1, boot],
      "a6adeedc86d86b2750ab98a3343fba7075b45f502b353bad2a197a10132e8e0f5f7626104d85f98642d169bd64974fe3",
    ],
    [
      ...[qemu("EPYC-Turin"), 1, 0x21, undefined],
      "4cd945ed813a330f6b606ab22cdeb9207e882fd9ce2d6ca981f1d0b2a17e06d7b2748a5b661202a550c3526537073d85",
    ],
    [
      ...[{ hypervisor: "ec2" }, 2, 0x1, undefined],
      "021834ecff48b11646d46c1c7680fc3ff132074185d516528c5864f7ee99da5d7267bd4fb204371f476de0e8d623f84c",
    ],
    [
      ...[{ hypervisor: "gce" }, 2, 0x1, undefined],
      "b8e46db925c91ec836928c0f8ff0315a891db9977af896ae463ba18f4c4d79f36ca73fd8822da39984a0a9d04305e687",
    ],
  ] as const)(
    "of SNP: %o, %i processors",
    async (machine, processors, features, kernel, wanted) => {
      const start = kernel === undefined ? {} : { boot: kernel };
      const launch = { firmware, machine, processors, features, ...start };
      expect(toHex(await snpLaunchDigest(crypto, launch))).toBe(wanted);
      const firmwareDigest = await snpFirmwareDigest(crypto, firmware);
      expect(toHex(await snpLaunchDigest(crypto, { ...launch, firmwareDigest }))).toBe(wanted);
    },
  );

  test("of SEV-ES and SEV", async () => {
    const es = { firmware, boot, machine: qemu("EPYC-Rome"), processors: 2 };
    expect(toHex(await sevEsLaunchDigest(crypto, es))).toBe(
      "ac8bf75e759fc9d815e17a15041326974dd99ca552eb20f2c0104ae455a4bf4e",
    );
    expect(toHex(await sevLaunchDigest(crypto, { firmware, boot }))).toBe(
      "5267903e41d3269112930a02ef9dbf8fc4be4c5bf08e055b01bca613baeed9c8",
    );
    expect(toHex(await sevLaunchDigest(crypto, { firmware }))).toBe(
      "4e2bf78a7869029d07b6b27a2efcf24eeae331119669ea691023566fd54ca2e9",
    );
  });

  test("change with every input", async () => {
    const launch = {
      ...{ firmware, boot, machine: qemu("EPYC-Milan"), processors: 2, features: 1 },
    } as const;
    const others = [
      { firmware: syntheticFirmware({ pages: 4 }) },
      { firmware: syntheticFirmware({ sections: everySection.slice(0, -1) }) },
      { firmware: syntheticFirmware({ hashTable: 0x81_0410 }) },
      { firmware: syntheticFirmware({ resetVector: 0x80_b010 }) },
      { boot: { ...boot, kernel: utf8("another") } },
      { boot: { ...boot, initrd: utf8("another") } },
      { boot: { ...boot, commandLine: "console=ttyS0 " } },
      { machine: qemu("EPYC-Genoa") },
      { processors: 3 },
      { features: 0x21 },
    ];
    const digests = await Promise.all(
      [{}, ...others].map(async (other) => await snpLaunchDigest(crypto, { ...launch, ...other })),
    );
    expect(new Set(digests.map(toHex)).size).toBe(digests.length);
  });

  test("are refused where the kernel or a processor would not be measured", async () => {
    const machine = qemu("EPYC-Milan");
    const snp = (image: Uint8Array, processors: number, kernel?: DirectBoot) =>
      codeOf(
        snpLaunchDigest(crypto, {
          ...{ firmware: image, machine, processors, features: 1 },
          ...(kernel === undefined ? {} : { boot: kernel }),
        }),
      );
    const noHashes = syntheticFirmware({
      sections: everySection.filter(([, , kind]) => kind !== 0x10),
    });
    expect(await snp(noHashes, 1, boot)).toBe("malformed");
    expect(await snp(noHashes, 1)).toBe("accepted");
    const noTable = syntheticFirmware({ hashTable: 0 });
    expect(await snp(noTable, 1, boot)).toBe("malformed");
    expect(await codeOf(sevLaunchDigest(crypto, { firmware: noTable, boot }))).toBe("malformed");
    expect(await snp(syntheticFirmware({ hashTable: 0x81_0ff0 }), 1, boot)).toBe("malformed");
    const noReset = syntheticFirmware({ resetVector: null });
    expect(await snp(noReset, 2)).toBe("malformed");
    expect(await snp(noReset, 1)).toBe("accepted");
    for (const processors of [0, 1.5, -1, 4097]) {
      expect(await snp(firmware, processors)).toBe("malformed");
    }
    expect(await snp(firmware, 1, { ...boot, commandLine: "a\0b" })).toBe("malformed");
    const short = { firmware, machine, processors: 1, features: 1 };
    expect(await codeOf(snpLaunchDigest(crypto, { ...short, firmwareDigest: fromHex("00") }))).toBe(
      "malformed",
    );
  });
});

describe("firmware images", () => {
  test("are read with all that they name", () => {
    const { address, resetVector, hashTable, sections } = parseFirmware(firmware);
    expect({ address, resetVector, hashTable }).toEqual({
      ...{ address: 0x1_0000_0000 - 3 * 4096, resetVector: 0x80_b004, hashTable: 0x81_0400 },
    });
    expect(sections.map(({ kind }) => kind)).toEqual([
      ...["memory", "memory", "secrets", "cpuid", "hashes", "memory"],
    ]);
    expect(parseFirmware(new Uint8Array(4096)).sections).toEqual([]);
  });

  test("are refused where a length, a kind or a place is impossible", () => {
    const bad: readonly Uint8Array[] = [
      new Uint8Array(0),
      new Uint8Array(4095),
      syntheticFirmware({ sections: [[0x80_0000, 0x1000, 9]] }),
      syntheticFirmware({ sections: [[0x80_0001, 0x1000, 1]] }),
      syntheticFirmware({ sections: [[0x80_0000, 0x1001, 1]] }),
      syntheticFirmware({ sections: [[0x80_0000, 0xffff_f000, 1]] }),
      changed(firmware.length - 2048, 0x42),
      changed(firmware.length - 2048 + 4, 1),
      changed(firmware.length - 2048 + 8, 2),
      changed(firmware.length - 2048 + 13, 1),
      // The table's own size, and that of the entry below the footer.
      changed(firmware.length - 32 - 17, 0xff),
      changed(firmware.length - 32 - 18 - 17, 0xff),
      changed(firmware.length - 32 - 18 - 18, 0),
      // Metadata that begins before the image.
      changed(firmware.length - 32 - 18 - 18 - 1, 0xff),
    ];
    for (const [i, image] of bad.entries()) {
      expect(() => parseFirmware(image), `image ${i}`).toThrow(AttestationError);
    }
  });

  test("give an image or an error of ours, whatever byte of their tables is changed", () => {
    const size = firmware.length;
    const tables = [
      ...Array.from({ length: 96 }, (_, i) => size - 2048 + i),
      ...Array.from({ length: 128 }, (_, i) => size - 160 + i),
    ];
    let refused = 0;
    for (const at of tables) {
      for (const value of [0x00, 0x01, 0x7f, 0x80, 0xff]) {
        try {
          parseFirmware(changed(at, value));
        } catch (error) {
          expect(error, `byte ${at} as ${value}`).toBeInstanceOf(AttestationError);
          refused++;
        }
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  function changed(at: number, value: number): Uint8Array {
    const copy = syntheticFirmware();
    copy[at] = value;
    return copy;
  }
});

test("processors have the signatures that AMD gives them", () => {
  expect(cpuSignature(23, 1, 2)).toBe(0x80_0f12);
  expect(cpuSignatures.get("EPYC-Milan-v2")).toBe(0xa0_0f11);
  expect(cpuSignatures.get("EPYC-Turin")).toBe(0xb0_0f00);
  expect(cpuSignature(6, 1, 2)).toBe(0x612);
  expect(() => cpuSignature(300, 1, 2)).toThrow(AttestationError);
});

test("a log that names no register leaves RTMRs zero", async () => {
  const registers = await rtmrsOfLog(crypto, utf8("[]"));
  expect(Object.keys(registers)).toEqual(["rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"]);
  for (const value of Object.values(registers)) expect(toHex(value)).toBe("00".repeat(48));
});
