/** SHA-256 and HMAC-SHA-256 of many short messages: native where the kernel is compiled, else OpenSSL's. */
import { createHash, createHmac, hash, type KeyObject } from "node:crypto";
import { u32 } from "@vivarium/core";
import * as addon from "@vivarium/curve25519/addon";
import { requireItems } from "./engine.ts";
import { Curve25519Error } from "./errors.ts";

const digestBytes = 32;
const maxRecordBytes = 64;
/** `requireItems` asks for a tag, which keyed digests do not have. */
const noDst = new Uint8Array(1);

const sha256: (data: Uint8Array) => Uint8Array =
  typeof hash === "function"
    ? (data) => hash("sha256", data, "buffer")
    : (data) => createHash("sha256").update(data).digest();

/**
 * The first `width` bytes of SHA-256(prefix ‖ record) for every record.
 * @param records n records of `recordBytes` (1 to 64) each.
 * @returns n digests of `width` (1 to 32) bytes.
 * @throws Curve25519Error `invalid-argument`.
 */
export function digestRecords(
  prefix: Uint8Array,
  records: Uint8Array,
  recordBytes: number,
  width: number,
): Uint8Array<ArrayBuffer> {
  requireWidth(width);
  if (!Number.isInteger(recordBytes) || recordBytes < 1 || recordBytes > maxRecordBytes) {
    throw new Curve25519Error("invalid-argument", "A record has 1 to 64 bytes.");
  }
  if (records.length % recordBytes !== 0) {
    throw new Curve25519Error("invalid-argument", `Records must be ${recordBytes} bytes each.`);
  }
  const out = new Uint8Array((records.length / recordBytes) * width);
  if (addon.digest === undefined) digestByNode(prefix, records, recordBytes, width, out);
  else addon.digest(prefix, records, recordBytes, width, out);
  return out;
}

/** As {@link digestRecords}, by OpenSSL one after the other: the fallback, and what tests compare with. */
export function digestByNode(
  prefix: Uint8Array,
  records: Uint8Array,
  recordBytes: number,
  width: number,
  out: Uint8Array,
): void {
  const message = new Uint8Array(prefix.length + recordBytes);
  message.set(prefix);
  for (let from = 0, to = 0; from < records.length; from += recordBytes, to += width) {
    message.set(records.subarray(from, from + recordBytes), prefix.length);
    out.set(sha256(message).subarray(0, width), to);
  }
}

/**
 * The first `width` bytes of HMAC-SHA-256(key, u32(length) ‖ item) (RFC 2104) for every item.
 * @param key a secret key of 32 bytes.
 * @param items all items, concatenated.
 * @param offsets n + 1 rising positions in `items`.
 * @returns n digests of `width` (1 to 32) bytes.
 * @throws Curve25519Error `invalid-argument` or `limit-exceeded`.
 */
export function keyedDigests(
  key: KeyObject,
  items: Uint8Array,
  offsets: Uint32Array,
  width: number,
): Uint8Array<ArrayBuffer> {
  requireWidth(width);
  if (key.type !== "secret" || key.symmetricKeySize !== 32) {
    throw new Curve25519Error("invalid-argument", "The key is not a secret key of 32 bytes.");
  }
  const n = requireItems(items, offsets, noDst);
  const out = new Uint8Array(n * width);
  if (addon.keyed === undefined) {
    keyedByNode(key, items, offsets, width, out);
    return out;
  }
  const bytes = key.export();
  try {
    addon.keyed(bytes, items, offsets, width, out);
  } finally {
    bytes.fill(0);
  }
  return out;
}

/** As {@link keyedDigests}, by OpenSSL one after the other. */
export function keyedByNode(
  key: KeyObject,
  items: Uint8Array,
  offsets: Uint32Array,
  width: number,
  out: Uint8Array,
): void {
  for (let i = 0; i < offsets.length - 1; i++) {
    const item = items.subarray(offsets[i] as number, offsets[i + 1] as number);
    const mac = createHmac("sha256", key).update(u32(item.length)).update(item).digest();
    out.set(mac.subarray(0, width), i * width);
  }
}

function requireWidth(width: number): void {
  if (!Number.isInteger(width) || width < 1 || width > digestBytes) {
    throw new Curve25519Error("invalid-argument", "A digest is cut to 1 to 32 bytes.");
  }
}
