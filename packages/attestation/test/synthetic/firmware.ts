/** A firmware image with the tables of OVMF and nothing that runs. */
import { concat, utf8 } from "@vivarium/core";
import { guidBytes } from "../../src/measure/firmware.ts";

export interface FirmwareOptions {
  readonly pages?: number;
  /** Address, size, kind. */
  readonly sections?: readonly (readonly [number, number, number])[];
  readonly hashTable?: number;
  readonly resetVector?: number | null;
}

/** One section of every kind that a guest without SVSM has. */
export const everySection = [
  [0x80_0000, 0x3000, 1],
  [0x80_a000, 0x1000, 1],
  [0x80_d000, 0x1000, 2],
  [0x80_e000, 0x1000, 3],
  [0x81_0000, 0x1000, 0x10],
  [0x81_1000, 0x2000, 1],
] as const;

const footer = "96b582de-1fb2-45f7-baea-a366c55a082d";

export function syntheticFirmware(options: FirmwareOptions = {}): Uint8Array<ArrayBuffer> {
  const { pages = 3, sections = everySection, hashTable = 0x81_0400 } = options;
  const { resetVector = 0x80_b004 } = options;
  const image = Uint8Array.from({ length: pages * 4096 }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
  const words = sections.flat();
  const metadata = concat(
    utf8("ASEV"),
    ...[16 + 4 * words.length, 1, sections.length, ...words].map(u32le),
  );
  const metadataAt = image.length - 2048;
  image.set(metadata, metadataAt);
  const table = concat(
    entry("7255371f-3a3b-4b04-927b-1da6efa8d454", concat(u32le(hashTable), u32le(0x400))),
    ...(resetVector === null
      ? []
      : [entry("00f771de-1a7e-4fcb-890e-68c77e2fb44e", u32le(resetVector))]),
    entry("dc886566-984a-4798-a75e-5585a7bf67cc", u32le(2048)),
  );
  const whole = concat(table, u16le(table.length + 18), guidBytes(footer));
  image.set(whole, image.length - 32 - whole.length);
  return image;
}

function entry(guid: string, data: Uint8Array): Uint8Array {
  return concat(data, u16le(data.length + 18), guidBytes(guid));
}

function u16le(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >>> 8);
}

function u32le(value: number): Uint8Array {
  return concat(u16le(value & 0xffff), u16le(value >>> 16));
}
