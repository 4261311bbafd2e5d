/**
 * Separators end the firmware's part of a register. A second one would let an attacker who runs later begin
 * again, and make a reader take his events for the firmware's. Source: TCG PC Client Platform Firmware
 * Profile, 3.3.2 and 10.4.5.
 */
import { type Crypto, equalBytes } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { type EventLog, eventTypes, type LogEvent } from "./log.ts";
import { logHash } from "./replay.ts";

/** Of a boot that went well (two values are allowed), and of one that met an error. */
const values = [0x0000_0000, 0xffff_ffff, 0x0000_0001];
const variables: ReadonlySet<number> = new Set([0x8000_0001, 0x8000_0002]);
/** GUID, length of the name in characters, length of the value in bytes. */
const variableHead = 32;

/**
 * Separators are known by their digest, which is measured, not by their type, which is the host's word: else
 * a second one would pass under another type. An event of a variable may have that digest, if the value
 * beside it has.
 * @throws AttestationError `malformed` for a second separator, or one that is none by its digest.
 */
export async function requireSeparators(
  crypto: Crypto,
  log: EventLog,
  bank: number,
): Promise<void> {
  const hash = logHash(crypto, bank);
  if (hash === undefined) return;
  const digests = await Promise.all(values.map(async (value) => await hash(u32le(value))));
  const seen = new Set<number>();
  for (const event of log.events) {
    if (event.type === eventTypes.noAction) continue;
    const digest = event.digests.get(bank);
    if (digest === undefined) continue;
    const separates = digests.some((each) => equalBytes(each, digest));
    const { register, type } = event;
    if (type === eventTypes.separator && !separates) {
      fail(`has a separator in register ${register} whose digest is of something else`);
    }
    if (!separates) continue;
    const value = variables.has(type) ? variableValue(event) : undefined;
    if (value !== undefined && equalBytes(await hash(value), digest)) continue;
    if (seen.has(register)) fail(`has two separators in register ${register}`);
    seen.add(register);
  }
}

/** The value in a UEFI_VARIABLE_DATA; undefined if the event holds none. */
function variableValue({ data }: LogEvent): Uint8Array | undefined {
  if (data.length < variableHead) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const name = view.getBigUint64(16, true);
  const value = view.getBigUint64(24, true);
  const start = BigInt(variableHead) + 2n * name;
  return start + value === BigInt(data.length) ? data.subarray(Number(start)) : undefined;
}

function u32le(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The event log ${reason}.`);
}
