/**
 * OVMF images as a hypervisor reads them: the table of GUIDs at the end names the reset vector of the other
 * processors, the place of the kernel's hashes and the pages that SNP measures. Source: edk2
 * OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm and OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm.
 */
import { fromHex, toHex, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { readerOf } from "../reader.ts";
import { measureLimits } from "./limits.ts";

export const sectionKinds = ["memory", "secrets", "cpuid", "svsm-calling-area", "hashes"] as const;

export interface FirmwareSection {
  readonly kind: (typeof sectionKinds)[number];
  /** Guest-physical address of the first page. */
  readonly address: number;
  /** Bytes, whole pages. */
  readonly size: number;
}

export interface Firmware {
  readonly bytes: Uint8Array;
  /** Guest-physical address of its first byte: it ends at 4 GiB. */
  readonly address: number;
  /** Where processors other than the first start; undefined if the image does not support SEV-ES. */
  readonly resetVector: number | undefined;
  /** Guest-physical address of the kernel's hashes; undefined if the firmware does not check them. */
  readonly hashTable: number | undefined;
  /** In the order of the table, which is that of the measurement. */
  readonly sections: readonly FirmwareSection[];
}

export const pageBytes = 4096;

const fourGiB = 0x1_0000_0000;
/** Between the table and the end of the image. */
const tailBytes = 32;
/** u16 length and GUID. */
const entryBytes = 18;

/** GUIDs in the order of their bytes in memory. */
const guids = {
  footer: "de82b596b21ff745baeaa366c55a082d",
  hashTable: "1f3755723b3a044b927b1da6efa8d454",
  resetBlock: "de71f7007e1acb4f890e68c77e2fb44e",
  sevMetadata: "666588dc4a989847a75e5585a7bf67cc",
} as const;

const kinds = new Map<number, FirmwareSection["kind"]>([
  [0x01, "memory"],
  [0x02, "secrets"],
  [0x03, "cpuid"],
  [0x04, "svsm-calling-area"],
  [0x10, "hashes"],
]);

/** @throws AttestationError `malformed`. */
export function parseFirmware(bytes: Uint8Array): Firmware {
  const { firmwareBytes } = measureLimits;
  if (bytes.length === 0 || bytes.length % pageBytes !== 0) fail("is not of whole pages");
  if (bytes.length > firmwareBytes) fail(`is over ${firmwareBytes} bytes`);
  const table = tableOf(bytes);
  const first = (guid: string): number | undefined => {
    const entry = table.get(guid);
    return entry === undefined ? undefined : readerOf("Firmware table", entry).u32le("an address");
  };
  const metadata = first(guids.sevMetadata);
  const hashTable = first(guids.hashTable);
  return {
    bytes,
    address: fourGiB - bytes.length,
    resetVector: first(guids.resetBlock),
    // Zero stands for "not supported" in images that have the entry all the same.
    hashTable: hashTable === 0 ? undefined : hashTable,
    sections: metadata === undefined ? [] : sectionsOf(bytes, metadata),
  };
}

/** Entries by GUID. The table grows downwards from the footer, each entry's head at its end. */
function tableOf(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const end = bytes.length - tailBytes - entryBytes;
  const footer = headOf(bytes, end);
  const table = new Map<string, Uint8Array>();
  if (footer.guid !== guids.footer) return table;
  const start = end - (footer.size - entryBytes);
  if (footer.size < entryBytes || start < 0) fail("has a table of an impossible size");
  let at = end;
  while (at - start >= entryBytes) {
    const { size, guid } = headOf(bytes, at - entryBytes);
    if (size < entryBytes || size > at - start) fail("has a table entry of an impossible size");
    // Which of two a hypervisor takes is its own affair: neither can be foretold.
    if (table.has(guid)) fail(`has the table entry ${guid} twice`);
    table.set(guid, bytes.subarray(at - size, at - entryBytes));
    at -= size;
  }
  return table;
}

function headOf(bytes: Uint8Array, at: number): { readonly size: number; readonly guid: string } {
  const reader = readerOf("Firmware table", bytes.subarray(at, at + entryBytes));
  return { size: reader.u16le("size"), guid: toHex(reader.bytes("GUID", 16)) };
}

/** @param fromEnd offset of the metadata from the end of the image. */
function sectionsOf(bytes: Uint8Array, fromEnd: number): readonly FirmwareSection[] {
  if (fromEnd > bytes.length) fail("has SEV metadata outside of itself");
  const reader = readerOf("SEV metadata", bytes.subarray(bytes.length - fromEnd));
  const signature = toHex(reader.bytes("signature", 4));
  const size = reader.u32le("size");
  const version = reader.u32le("version");
  const count = reader.u32le("count of sections");
  if (signature !== toHex(utf8("ASEV")) || version !== 1) {
    fail("has SEV metadata of another form");
  }
  if (count > measureLimits.sections || size !== 16 + 12 * count) {
    fail("has SEV metadata of an impossible size");
  }
  const sections: FirmwareSection[] = [];
  let pages = 0;
  for (let i = 0; i < count; i++) {
    const address = reader.u32le("address");
    const length = reader.u32le("size");
    const number = reader.u32le("kind");
    const kind = kinds.get(number) ?? fail(`has a section of the unknown kind ${number}`);
    if (address % pageBytes !== 0 || length % pageBytes !== 0)
      fail("has a section of broken pages");
    pages += length / pageBytes;
    if (pages > measureLimits.sectionPages) fail(`has over ${measureLimits.sectionPages} pages`);
    sections.push({ kind, address, size: length });
  }
  return sections;
}

/** A GUID's text as its bytes in memory: the first three groups are little-endian. */
export function guidBytes(text: string): Uint8Array<ArrayBuffer> {
  const bytes = fromHex(text.replaceAll("-", ""));
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The firmware ${reason}.`);
}
