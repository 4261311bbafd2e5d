/**
 * Event logs of dstack: a JSON list with one digest an event, whose runtime events (RTMR3) may come
 * without it. Source: Dstack-TEE/dstack, cc-eventlog.
 */
import { type Crypto, concat, fromHex, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { textOfBytes } from "../reader.ts";

const runtimeEvent = 0x0800_0001;
const maxBytes = 1024 * 1024;
const maxEvents = 10_000;

/** RTMRs by index 0 to 3. @throws AttestationError `malformed`. */
export async function replayDstackLog(
  crypto: Crypto,
  bytes: Uint8Array,
): Promise<ReadonlyMap<number, Uint8Array>> {
  if (bytes.length > maxBytes) fail(`is over ${maxBytes} bytes`);
  let list: unknown;
  try {
    list = JSON.parse(textOfBytes("dstack event log", bytes));
  } catch (cause) {
    throw new AttestationError("malformed", "The dstack event log is not JSON.", { cause });
  }
  if (!Array.isArray(list) || list.length > maxEvents) fail(`is not a list of ${maxEvents} events`);
  const registers = new Map<number, Uint8Array>();
  for (const item of list as readonly unknown[]) {
    const index = fieldOf(item, "imr");
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index > 3) {
      fail("names a register other than 0 to 3");
    }
    const digest = await digestOf(crypto, item);
    const before = registers.get(index) ?? new Uint8Array(48);
    registers.set(index, await crypto.digest("SHA-384", concat(before, digest)));
  }
  return registers;
}

/** Runtime events are digested again: their name and payload are then as measured as the digest. */
async function digestOf(crypto: Crypto, item: unknown): Promise<Uint8Array> {
  const type = fieldOf(item, "event_type");
  const given = hexOf(fieldOf(item, "digest"));
  if (type !== runtimeEvent)
    return given.length === 48 ? given : fail("has a digest that is not SHA-384");
  const event = fieldOf(item, "event");
  const payload = hexOf(fieldOf(item, "event_payload"));
  if (typeof event !== "string" || event.length > 256) fail("has a runtime event without a name");
  const number = new Uint8Array(4);
  new DataView(number.buffer).setUint32(0, runtimeEvent, true);
  const colon = utf8(":");
  const digest = await crypto.digest("SHA-384", concat(number, colon, utf8(event), colon, payload));
  return digest;
}

function hexOf(value: unknown): Uint8Array {
  const ok = typeof value === "string" && value.length % 2 === 0 && /^[0-9a-fA-F]*$/.test(value);
  return ok ? fromHex(value) : fail("has a field that is not hexadecimal");
}

function fieldOf(value: unknown, name: string): unknown {
  const object = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return object ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The dstack event log ${reason}.`);
}
