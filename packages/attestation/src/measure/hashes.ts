/**
 * The table of hashes by which firmware checks a kernel that it is handed from outside. QEMU writes it; it is
 * measured with the firmware. Source: QEMU target/i386/sev.c, sev_add_kernel_loader_hashes.
 */
import { type Crypto, concat, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { guidBytes, pageBytes } from "./firmware.ts";
import { measureLimits } from "./limits.ts";

/** What a hypervisor boots directly (`-kernel`). */
export interface DirectBoot {
  readonly kernel: Uint8Array;
  /** Absent: none, which is measured as an empty one. */
  readonly initrd?: Uint8Array;
  /** Without the NUL at its end. Absent: empty. */
  readonly commandLine?: string;
}

const header = guidBytes("9438d606-4f22-4cc9-b479-a793d411fd21");
const entries = {
  commandLine: guidBytes("97d02dd8-bd20-4c94-aa78-e7714d36ab2a"),
  initrd: guidBytes("44baf731-3a2f-4bd7-9af1-41e29169781d"),
  kernel: guidBytes("4de79437-abd2-427f-b835-d5b172d2045b"),
} as const;

/** GUID, u16 length of the whole entry, SHA-256. */
const entryBytes = 16 + 2 + 32;
const tableBytes = 16 + 2 + 3 * entryBytes;
const paddedBytes = Math.ceil(tableBytes / 16) * 16;

/** 176 bytes. @throws AttestationError `malformed` for a command line over its bound or with a NUL. */
export async function hashTable(
  crypto: Crypto,
  boot: DirectBoot,
): Promise<Uint8Array<ArrayBuffer>> {
  const { kernel, initrd = new Uint8Array(0), commandLine = "" } = boot;
  const line = utf8(commandLine);
  if (line.includes(0) || line.length > measureLimits.commandLineBytes) {
    throw new AttestationError("malformed", "A kernel's command line has a NUL or is too long.");
  }
  const entry = async (guid: Uint8Array, data: Uint8Array): Promise<Uint8Array> =>
    concat(guid, u16le(entryBytes), await crypto.digest("SHA-256", data));
  const table = concat(
    header,
    u16le(tableBytes),
    await entry(entries.commandLine, concat(line, Uint8Array.of(0))),
    await entry(entries.initrd, initrd),
    await entry(entries.kernel, kernel),
  );
  return concat(table, new Uint8Array(paddedBytes - tableBytes));
}

/** The page that the table lies in, zeros around it. @param address of the table in the guest. */
export async function hashPage(
  crypto: Crypto,
  boot: DirectBoot,
  address: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const table = await hashTable(crypto, boot);
  const offset = address % pageBytes;
  if (offset + table.length > pageBytes) {
    throw new AttestationError("malformed", "The kernel's hashes do not fit into their page.");
  }
  const page = new Uint8Array(pageBytes);
  page.set(table, offset);
  return page;
}

function u16le(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >>> 8);
}
