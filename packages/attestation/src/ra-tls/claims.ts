/**
 * Evidence as certificates carry it: a CBOR tag and `[evidence, claims]` (CCC "interoperable
 * RA-TLS"), and the claims buffer `{ "pubkey-hash": bstr, … }` whose hash is the report data.
 */
import { type Crypto, equalBytes, type HashName } from "@vivarium/core";
import { bytesOf, decodeCbor } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { type ByteReader, readerOf, textOfBytes } from "../reader.ts";

const limits = { maxBytes: 100 * 1024, maxDepth: 2, maxValues: 8 };
const maxClaims = 32;

/** Tags of the extension 2.23.133.5.4.9: Intel's are registered, the others private to rats-tls. */
const taggedTypes: Readonly<Record<number, "intel" | EvidenceType>> = {
  60000: "intel",
  1709316: "snp",
  1709317: "sev",
  1709318: "csv",
};

export interface TaggedEvidence {
  /** `intel`: an SGX or TDX quote; its header says which. */
  readonly type: "intel" | EvidenceType;
  readonly evidence: Uint8Array;
  /** As transported: its hash is what was signed. */
  readonly claims: Uint8Array;
}

/** @throws AttestationError `malformed`. */
export function parseTaggedEvidence(bytes: Uint8Array): TaggedEvidence {
  const reader = readerOf("RA-TLS evidence", bytes);
  const head = reader.u8("the tag");
  const tag =
    head === 0xd9 ? reader.u16be("the tag") : head === 0xda ? reader.u32be("the tag") : -1;
  const type = Object.hasOwn(taggedTypes, tag) ? taggedTypes[tag] : undefined;
  if (type === undefined || (head === 0xda && tag < 65_536)) {
    throw new AttestationError("malformed", `RA-TLS evidence has no tag that is known here.`);
  }
  const pair = decodeCbor("RA-TLS evidence", bytes.subarray(reader.offset), limits);
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw new AttestationError("malformed", "RA-TLS evidence is not an array of two.");
  }
  return {
    type,
    evidence: bytesOf("RA-TLS evidence", pair[0], 1, limits.maxBytes),
    claims: bytesOf("RA-TLS claims", pair[1], 1, 16 * 1024),
  };
}

/** `[algorithm, hash]` of the claim: which hash, by COSE's numbers for the named information. */
const hashes: Readonly<Record<number, readonly [HashName, number]>> = {
  1: ["SHA-256", 32],
  7: ["SHA-384", 48],
  8: ["SHA-512", 64],
};

/**
 * True if the claims name this key. Gramine's verifier takes claims without any `pubkey-hash` for a
 * match; here its absence is an error.
 * @throws AttestationError `malformed` for claims that are not a map of byte strings, or without
 * exactly one `pubkey-hash` of the length of its algorithm.
 */
export async function claimsNameKey(
  crypto: Crypto,
  claims: Uint8Array,
  spki: Uint8Array,
): Promise<boolean> {
  const entry = parseClaims(claims).get("pubkey-hash");
  if (entry === undefined) {
    throw new AttestationError("malformed", "RA-TLS claims have no pubkey-hash.");
  }
  const pair = decodeCbor("pubkey-hash", entry, { maxBytes: 128, maxDepth: 1, maxValues: 4 });
  const [algorithm, hash] = Array.isArray(pair) && pair.length === 2 ? pair : [];
  const known = typeof algorithm === "number" ? hashes[algorithm] : undefined;
  if (known === undefined) {
    throw new AttestationError("malformed", "The algorithm of the pubkey-hash is not known.");
  }
  const [name, length] = known;
  return equalBytes(bytesOf("pubkey-hash", hash, length, length), await crypto.digest(name, spki));
}

/** A map of text to byte strings in any order of keys, each once. */
export function parseClaims(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const what = "RA-TLS claims";
  const reader = readerOf(what, bytes);
  const count = argument(reader, 5);
  if (count > maxClaims) throw new AttestationError("malformed", `${what} are too many.`);
  const claims = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const name = textOfBytes("RA-TLS claim", reader.bytes("a name", argument(reader, 3)));
    if (claims.has(name)) throw new AttestationError("malformed", `${what} repeat a name.`);
    claims.set(name, reader.bytes("a value", argument(reader, 2)));
  }
  reader.end();
  return claims;
}

/** Count or length of an item of this major type, in its shortest form. */
function argument(reader: ByteReader, major: number): number {
  const head = reader.u8("an item");
  const info = head & 31;
  if (head >> 5 === major) {
    if (info < 24) return info;
    const value = info === 24 ? reader.u8("a length") : info === 25 ? reader.u16be("a length") : -1;
    if (value >= (info === 24 ? 24 : 256)) return value;
  }
  throw new AttestationError("malformed", "RA-TLS claims are not a map of text to byte strings.");
}
