/** PEM (RFC 7468), strictly: only whole blocks of the wanted label count. */

import { AttestationError } from "../errors.ts";
import { textOfBytes } from "../reader.ts";

const maxBytes = 1024 * 1024;
const maxBlocks = 64;

/** True if the bytes look like PEM text rather than DER. */
export function isPem(bytes: Uint8Array): boolean {
  // "-----BEGIN" may stand after text for people; DER of a structure begins with 0x30.
  return bytes[0] !== 0x30 && indexOfBegin(bytes) >= 0;
}

function indexOfBegin(bytes: Uint8Array): number {
  const wanted = "-----BEGIN ";
  for (let i = 0; i + wanted.length <= Math.min(bytes.length, 65_536); i++) {
    let at = 0;
    while (at < wanted.length && bytes[i + at] === wanted.charCodeAt(at)) at++;
    if (at === wanted.length) return i;
  }
  return -1;
}

/**
 * PEM inside of a signed structure: blocks and white space, nothing else, so that no byte is free.
 * @throws AttestationError `malformed`.
 */
export function decodeBarePem(what: string, bytes: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const text = textOfBytes(what, bytes);
  const around = text
    .replace(/\0+$/, "")
    .replace(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g, "");
  if (/[^ \t\r\n]/.test(around)) fail(what, "text around its blocks");
  return decodePem(what, text);
}

/**
 * The DER of every block with this label, in order. Text around the blocks is not authenticated by
 * anything and is ignored; blocks with other labels are skipped.
 * @throws AttestationError `malformed` for a block that is not whole or not base64, or if there is none.
 */
export function decodePem(
  what: string,
  text: string | Uint8Array,
  label = "CERTIFICATE",
): Uint8Array<ArrayBuffer>[] {
  if (text.length > maxBytes) fail(what, `over ${maxBytes} bytes`);
  // Intel's chains end in a NUL; anything past it is not text.
  const source = (typeof text === "string" ? text : textOfBytes(what, text)).replace(/\0+$/, "");
  const blocks: Uint8Array<ArrayBuffer>[] = [];
  const begin = `-----BEGIN ${label}-----`;
  const end = `-----END ${label}-----`;
  for (let at = source.indexOf(begin); at >= 0; ) {
    const close = source.indexOf(end, at);
    if (close < 0) fail(what, "a block without its end");
    if (blocks.length >= maxBlocks) fail(what, `more than ${maxBlocks} blocks`);
    blocks.push(fromBase64(what, source.slice(at + begin.length, close)));
    at = source.indexOf(begin, close);
  }
  if (blocks.length === 0) fail(what, `no ${label} block`);
  return blocks;
}

function fromBase64(what: string, text: string): Uint8Array<ArrayBuffer> {
  const packed = text.replace(/[ \t\r\n]/g, "");
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(packed) || packed.length % 4 !== 0) fail(what, "bad base64");
  const binary = atob(packed);
  // Spare bits of the last character: two texts must not stand for the same bytes.
  if (btoa(binary) !== packed) fail(what, "base64 that is not canonical");
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not valid PEM: ${reason}.`);
}
