/**
 * Strict DER (X.690) for certificates and CRLs: definite, minimal lengths and single-byte tags only.
 * A second encoding of the same value would give one certificate two digests.
 */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";

export interface DerNode {
  /** The identifier byte: class, constructed bit and number. */
  readonly tag: number;
  /** Tag, length and content. A view. */
  readonly raw: Uint8Array;
  readonly content: Uint8Array;
}

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Depth is bounded by callers, who descend by name; this bounds breadth. */
const maxChildren = 100_000;

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not valid DER: ${reason}.`);
}

function nodeAt(what: string, bytes: Uint8Array, start: number): DerNode {
  const tag = bytes[start];
  let length = bytes[start + 1];
  if (tag === undefined || length === undefined) fail(what, "truncated");
  if ((tag & 0x1f) === 0x1f) fail(what, "a tag of more than one byte");
  let offset = start + 2;
  if (length >= 0x80) {
    const width = length - 0x80;
    if (width === 0 || width > 4) fail(what, "an indefinite or oversize length");
    length = 0;
    for (let i = 0; i < width; i++) length = length * 256 + (bytes[offset++] ?? Number.NaN);
    if (!(length >= 0x80) || length < 256 ** (width - 1))
      fail(what, "a length that is not minimal");
  }
  const end = offset + length;
  if (!(end <= bytes.length)) fail(what, "truncated");
  return { tag, raw: bytes.subarray(start, end), content: bytes.subarray(offset, end) };
}

/** One value, and nothing after it. @throws AttestationError `malformed`. */
export function readDer(what: string, bytes: Uint8Array): DerNode {
  const node = nodeAt(what, bytes, 0);
  if (node.raw.length !== bytes.length) fail(what, "bytes after its end");
  return node;
}

/** The values inside a constructed one. @throws AttestationError `malformed`. */
export function childrenOf(what: string, node: DerNode): DerNode[] {
  if ((node.tag & 0x20) === 0) fail(what, "primitive where a structure is expected");
  const children: DerNode[] = [];
  for (let offset = 0; offset < node.content.length; ) {
    if (children.length >= maxChildren) fail(what, "too many elements");
    const child = nodeAt(what, node.content, offset);
    children.push(child);
    offset += child.raw.length;
  }
  return children;
}

/** @throws AttestationError `malformed` if the node is absent or has another tag. */
export function requireTag(what: string, node: DerNode | undefined, tag: number): DerNode {
  if (node?.tag !== tag) fail(what, `tag ${tag} expected, got ${node?.tag ?? "nothing"}`);
  return node;
}

/** Dotted form of an OBJECT IDENTIFIER. */
export function oidOf(node: DerNode | undefined): string {
  const { content } = requireTag("Object identifier", node, tags.oid);
  const arcs: number[] = [];
  let arc = 0;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) fail("Object identifier", "an arc that is not minimal");
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) fail("Object identifier", "an arc out of range");
    fresh = (byte & 0x80) === 0;
    if (!fresh) continue;
    if (arcs.length === 0) {
      const first = Math.min(2, Math.floor(arc / 40));
      arcs.push(first, arc - 40 * first);
    } else arcs.push(arc);
    arc = 0;
  }
  if (!fresh || arcs.length === 0) fail("Object identifier", "truncated");
  return arcs.join(".");
}

/** Content of an INTEGER, in its one encoding. */
export function integerContent(what: string, node: DerNode | undefined): Uint8Array {
  const { content } = requireTag(what, node, tags.integer);
  const [first, second] = content;
  if (first === undefined) fail(what, "an empty integer");
  const padded =
    second !== undefined && (first === 0 ? second < 0x80 : first === 0xff && second >= 0x80);
  if (padded) fail(what, "an integer that is not minimal");
  return content;
}

/** Magnitude of an INTEGER that is not negative, without its sign byte. */
export function unsignedOf(what: string, node: DerNode | undefined): Uint8Array {
  const content = integerContent(what, node);
  if ((content[0] as number) >= 0x80) fail(what, "a negative integer");
  return content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
}

/** An INTEGER from 0 to 2^48 - 1. */
export function numberOf(what: string, node: DerNode | undefined): number {
  const bytes = unsignedOf(what, node);
  if (bytes.length > 6) fail(what, "an integer out of range");
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return value;
}

/** Content of a BIT STRING of whole bytes. */
export function bitsOf(what: string, node: DerNode | undefined): Uint8Array {
  const { content } = requireTag(what, node, tags.bitString);
  if (content[0] !== 0) fail(what, "a bit string that is not of whole bytes");
  return content.subarray(1);
}

/** BOOLEAN, in its one encoding of each value. */
export function booleanOf(what: string, node: DerNode | undefined): boolean {
  const { content } = requireTag(what, node, tags.boolean);
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    fail(what, `the boolean ${toHex(content.subarray(0, 4))}`);
  }
  return content[0] === 0xff;
}

/** UTCTime or GeneralizedTime in the forms of RFC 5280 section 4.1.2.5; milliseconds. */
export function timeOf(what: string, node: DerNode | undefined): number {
  if (node === undefined) fail(what, "no time");
  const text = String.fromCharCode(...node.content.subarray(0, 20));
  const short = node.tag === tags.utcTime;
  if (!short && node.tag !== tags.generalizedTime) fail(what, `tag ${node.tag} for a time`);
  const form = short
    ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
    : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const match = form.exec(text);
  if (match === null) fail(what, "a time of another form");
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const full = short ? year + (year < 50 ? 2000 : 1900) : year;
  const time = Date.UTC(full, month - 1, day, hour, minute, second);
  const date = new Date(time);
  // Date.UTC carries over: 31 February would be a day of March.
  const exact =
    date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60;
  if (!exact || second > 59 || !Number.isFinite(time)) fail(what, "a date that does not exist");
  return time;
}
