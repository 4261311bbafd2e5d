/** What certificates and CRLs share: SEQUENCE { tbs, algorithm, signature }. RFC 5280 section 4.1. */
import { equalBytes, type SignatureAlgorithm } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import {
  bitsOf,
  booleanOf,
  childrenOf,
  type DerNode,
  numberOf,
  oidOf,
  readDer,
  requireTag,
  tags,
  unsignedOf,
} from "./der.ts";
import type { CertificateAlgorithm, Extension } from "./types.ts";

const maxExtensions = 64;

interface SignedParts {
  readonly tbs: DerNode;
  /** The AlgorithmIdentifier outside; the one inside must be the same. */
  readonly algorithmDer: Uint8Array;
  readonly algorithm: CertificateAlgorithm;
  readonly signature: Uint8Array;
}

export function readSigned(what: string, der: Uint8Array): SignedParts {
  const parts = childrenOf(what, requireTag(what, readDer(what, der), tags.sequence));
  if (parts.length !== 3) fail(what, "not three parts");
  const [tbs, algorithm, signature] = parts as [DerNode, DerNode, DerNode];
  const name = algorithmOf(what, algorithm);
  return {
    tbs: requireTag(what, tbs, tags.sequence),
    algorithmDer: algorithm.raw,
    ...signatureOf(what, name, bitsOf(`${what}: signature`, signature)),
  };
}

/** An attacker who could change the inner one would sign with one algorithm and be read by another. */
export function requireSameAlgorithm(
  what: string,
  inner: DerNode | undefined,
  outer: Uint8Array,
): void {
  if (inner === undefined || !equalBytes(inner.raw, outer)) {
    fail(what, "two different signature algorithms");
  }
}

const named: Readonly<Record<string, SignatureAlgorithm>> = {
  "1.2.840.10045.4.3.2": "ES256",
  "1.2.840.10045.4.3.3": "ES384",
  "1.2.840.10045.4.3.4": "ES512",
  "1.2.840.113549.1.1.11": "RS256",
  "1.2.840.113549.1.1.12": "RS384",
  "1.2.840.113549.1.1.13": "RS512",
  "1.3.101.112": "EdDSA",
};

const hashBits: Readonly<Record<string, 256 | 384 | 512>> = {
  "2.16.840.1.101.3.4.2.1": 256,
  "2.16.840.1.101.3.4.2.2": 384,
  "2.16.840.1.101.3.4.2.3": 512,
};

const rsaPss = "1.2.840.113549.1.1.10";
const mgf1 = "1.2.840.113549.1.1.8";

function algorithmOf(what: string, node: DerNode): SignatureAlgorithm {
  const [oid, parameters, ...more] = childrenOf(what, requireTag(what, node, tags.sequence));
  if (more.length > 0) fail(what, "an algorithm with extra fields");
  const name = oidOf(oid);
  if (name === rsaPss) return pssOf(what, parameters);
  const algorithm = Object.hasOwn(named, name) ? named[name] : undefined;
  if (algorithm === undefined) fail(what, `the signature algorithm ${name} is not accepted`);
  // RSA has NULL, ECDSA and EdDSA have nothing (RFC 4055, RFC 5758, RFC 8410); mbedTLS writes NULL
  // for ECDSA too. It is signed and the same inside and outside, so it leaves nobody a choice.
  const plain =
    parameters === undefined || (parameters.tag === tags.null && parameters.content.length === 0);
  if (!plain) fail(what, "an algorithm with parameters that it does not have");
  return algorithm;
}

/** RSASSA-PSS-params (RFC 4055 section 3.1) whose hashes agree and whose salt has the hash's length. */
function pssOf(what: string, node: DerNode | undefined): SignatureAlgorithm {
  const fields = childrenOf(what, requireTag(what, node, tags.sequence));
  const field = (tag: number): DerNode | undefined => {
    const outer = fields.find((candidate) => candidate.tag === tag);
    return outer === undefined ? undefined : childrenOf(what, outer)[0];
  };
  const bits = hashOf(what, field(0xa0));
  const [maskOid, maskHash] = childrenOf(what, requireTag(what, field(0xa1), tags.sequence));
  const salt = numberOf(what, field(0xa2));
  const trailer = field(0xa3);
  const known = fields.every(
    ({ tag }, i) => tag >= 0xa0 && tag <= 0xa3 && (fields[i - 1]?.tag ?? 0) < tag,
  );
  const fits =
    oidOf(maskOid) === mgf1 &&
    hashOf(what, maskHash) === bits &&
    salt === bits / 8 &&
    (trailer === undefined || numberOf(what, trailer) === 1);
  if (!fits || !known) fail(what, "RSASSA-PSS parameters that are not accepted");
  return `PS${bits}`;
}

function hashOf(what: string, node: DerNode | undefined): 256 | 384 | 512 {
  const [oid] = childrenOf(what, requireTag(what, node, tags.sequence));
  const bits = hashBits[oidOf(oid)];
  if (bits === undefined) fail(what, "a hash that is not accepted");
  return bits;
}

const ecdsaBytes: Readonly<Partial<Record<SignatureAlgorithm, number>>> = {
  ES256: 32,
  ES384: 48,
  ES512: 66,
};

/** ECDSA-Sig-Value (RFC 3279 section 2.2.3) as r ‖ s; others as they are. */
function signatureOf(
  what: string,
  algorithm: SignatureAlgorithm,
  bits: Uint8Array,
): Pick<SignedParts, "algorithm" | "signature"> {
  const size = ecdsaBytes[algorithm];
  if (size === undefined) return { algorithm, signature: bits };
  // The object identifier names the hash alone; a number of over 32 bytes is of a larger curve.
  const long = algorithm === "ES256" && bits.length > 72;
  return {
    algorithm: long ? "P384-SHA256" : algorithm,
    signature: ecdsaSignature(what, bits, long ? 48 : size),
  };
}

/**
 * @param size bytes of each of r and s.
 * @throws AttestationError `malformed`.
 */
export function ecdsaSignature(
  what: string,
  der: Uint8Array,
  size: number,
): Uint8Array<ArrayBuffer> {
  const parts = childrenOf(what, requireTag(what, readDer(what, der), tags.sequence));
  if (parts.length !== 2) fail(what, "an ECDSA signature of other than two integers");
  const out = new Uint8Array(2 * size);
  for (const [i, part] of parts.entries()) {
    const value = unsignedOf(what, part);
    if (value.length > size) fail(what, "an ECDSA signature out of range");
    out.set(value, (i + 1) * size - value.length);
  }
  return out;
}

/** Extensions ::= SEQUENCE OF SEQUENCE { oid, critical DEFAULT FALSE, OCTET STRING }. */
export function extensionsOf(what: string, node: DerNode): ReadonlyMap<string, Extension> {
  const extensions = new Map<string, Extension>();
  for (const item of childrenOf(what, requireTag(what, node, tags.sequence))) {
    const fields = childrenOf(what, requireTag(what, item, tags.sequence));
    const [first, second, third, ...more] = fields;
    const oid = oidOf(first);
    const explicit = third !== undefined;
    const critical = explicit && booleanOf(what, second);
    if (more.length > 0) fail(what, "an extension with extra fields");
    // DER leaves a default out; a second encoding of "not critical" is not DER.
    if (explicit && !critical) fail(what, "an extension that spells out its default");
    if (extensions.has(oid)) fail(what, `the extension ${oid} twice`);
    if (extensions.size >= maxExtensions) fail(what, "too many extensions");
    const { content } = requireTag(what, explicit ? third : second, tags.octetString);
    extensions.set(oid, { critical, value: content });
  }
  return extensions;
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} is not acceptable X.509: ${reason}.`);
}
