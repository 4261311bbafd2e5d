/**
 * Event logs of firmware: TCG's crypto-agile form (TPM logs and the CC event logs of TDX and CSV) and the
 * SHA-1 form before it. Source: TCG PC Client Platform Firmware Profile, section 10; UEFI 2.10 section 38.
 * A log proves nothing by itself: it counts once it replays to measured registers, and even then event
 * types and data that a digest does not cover are the host's word.
 */
import { fromUtf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { type ByteReader, readerOf } from "../reader.ts";
import { digestBytes, tpmAlgorithms } from "../tpm/structures.ts";

/** SM3, which Hygon's logs use; the others are TPM_ALG_IDs as well. */
export const sm3Algorithm = 0x0012;

const sizes: Readonly<Record<number, number>> = { ...digestBytes, [sm3Algorithm]: 32 };

export interface LogEvent {
  /** PCR, or for CC logs the measurement register plus one (0 is the launch measurement). */
  readonly register: number;
  /** Not measured: the host's word. */
  readonly type: number;
  /** By TPM_ALG_ID. */
  readonly digests: ReadonlyMap<number, Uint8Array>;
  /** Measured only where a digest covers it. */
  readonly data: Uint8Array;
}

export interface EventLog {
  readonly form: "sha-1" | "crypto-agile";
  /** Banks that every event has a digest for. */
  readonly banks: readonly number[];
  readonly events: readonly LogEvent[];
}

export const eventTypes = { noAction: 0x3, separator: 0x4 } as const;

const limits = { bytes: 2 * 1024 * 1024, events: 20_000, data: 1024 * 1024, banks: 8 } as const;
const specId = "Spec ID Event03\0";
const maxRegister = 31;

/** @throws AttestationError `malformed`. */
export function parseEventLog(bytes: Uint8Array): EventLog {
  if (bytes.length > limits.bytes) fail(`is over ${limits.bytes} bytes`);
  const reader = readerOf("Event log", bytes);
  const first = sha1Event(reader);
  const agile = startsWith(first.data, specId);
  // Nothing measures the header. TDX's firmware gives it the register 1 of CC logs.
  if (agile && (first.register > 1 || first.type !== eventTypes.noAction)) {
    fail("has a Spec ID event that extends a register");
  }
  const banks = agile ? banksOf(first.data, reader) : new Map([[tpmAlgorithms.sha1 as number, 20]]);
  const events: LogEvent[] = agile ? [] : [first];
  const padding = paddingStart(bytes);
  while (reader.left > 0 && reader.offset < padding) {
    if (events.length >= limits.events) fail(`holds over ${limits.events} events`);
    events.push(agile ? agileEvent(reader, banks) : sha1Event(reader));
  }
  return { form: agile ? "crypto-agile" : "sha-1", banks: [...banks.keys()], events };
}

function sha1Event(reader: ByteReader): LogEvent {
  const { register, type } = headOf(reader);
  const digest = reader.bytes("digest", 20);
  return { register, type, digests: new Map([[tpmAlgorithms.sha1, digest]]), data: dataOf(reader) };
}

function agileEvent(reader: ByteReader, banks: ReadonlyMap<number, number>): LogEvent {
  const { register, type } = headOf(reader);
  const count = reader.u32le("count of digests");
  if (count !== banks.size) fail("has an event without a digest for each bank");
  const digests = new Map<number, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const bank = reader.u16le("bank");
    const size = banks.get(bank);
    if (size === undefined || digests.has(bank)) fail("has a digest of another bank");
    digests.set(bank, reader.bytes("digest", size));
  }
  return { register, type, digests, data: dataOf(reader) };
}

function headOf(reader: ByteReader): Pick<LogEvent, "register" | "type"> {
  const register = reader.u32le("register");
  const type = reader.u32le("event type");
  // Firmware gives informative events the register that there is none.
  const none = register === 0xffff_ffff && type === eventTypes.noAction;
  return register <= maxRegister || none
    ? { register, type }
    : fail(`names the register ${register}`);
}

function dataOf(reader: ByteReader): Uint8Array {
  const size = reader.u32le("size of the event");
  if (size > limits.data) fail(`has an event of over ${limits.data} bytes`);
  return reader.bytes("event", size);
}

/**
 * TCG_EfiSpecIDEvent: which banks, and how long their digests are.
 * @param log vendor information that firmware did not count as part of the event follows it there.
 */
function banksOf(data: Uint8Array, log: ByteReader): ReadonlyMap<number, number> {
  const reader = readerOf("Spec ID event", data);
  reader.bytes("signature", 16);
  reader.bytes("platform class and version", 8);
  const count = reader.u32le("count of banks");
  if (count === 0 || count > limits.banks) fail(`names ${count} banks`);
  const banks = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const bank = reader.u16le("bank");
    const size = reader.u16le("digest size");
    const known = Object.hasOwn(sizes, bank) ? sizes[bank] : undefined;
    if ((known ?? size) !== size || size === 0 || size > 64 || banks.has(bank)) {
      fail("names a bank twice or with another size");
    }
    banks.set(bank, size);
  }
  const vendor = reader.u8("size of vendor information");
  (reader.left === 0 ? log : reader).bytes("vendor information", vendor);
  reader.end();
  return banks;
}

function startsWith(data: Uint8Array, text: string): boolean {
  if (data.length < text.length) return false;
  try {
    return fromUtf8(data.subarray(0, text.length)) === text;
  } catch {
    return false;
  }
}

/**
 * Where the zeros or ones begin that firmware leaves in the rest of its area. Found once, from the end: asked
 * again at each event, a log of zeros that ends in a one would cost the square of its length.
 */
function paddingStart(bytes: Uint8Array): number {
  const byte = bytes.at(-1);
  if (byte !== 0x00 && byte !== 0xff) return bytes.length;
  let start = bytes.length;
  while (start > 0 && bytes[start - 1] === byte) start--;
  return start;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The event log ${reason}.`);
}
