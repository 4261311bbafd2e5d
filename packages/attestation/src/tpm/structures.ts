/**
 * The structures of a TPM 2.0 quote. Source: TCG TPM 2.0 Library, part 2 (Structures), sections named
 * below. All numbers are big-endian.
 */
import type { SignatureAlgorithm } from "@vivarium/core";
import { concat } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { spkiOf } from "../keys.ts";
import { type ByteReader, readerOf } from "../reader.ts";

/** TPM_ALG_ID (6.3). */
export const tpmAlgorithms = {
  rsa: 0x0001,
  sha1: 0x0004,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  rsassa: 0x0014,
  rsapss: 0x0016,
  ecdsa: 0x0018,
  ecc: 0x0023,
} as const;

/** Bytes of a digest, by TPM_ALG_ID. */
export const digestBytes: Readonly<Record<number, number>> = {
  [tpmAlgorithms.sha1]: 20,
  [tpmAlgorithms.sha256]: 32,
  [tpmAlgorithms.sha384]: 48,
  [tpmAlgorithms.sha512]: 64,
};

export interface PcrSelection {
  readonly hash: number;
  /** Ascending. */
  readonly indices: readonly number[];
}

/** TPMS_ATTEST of type quote (10.12.8). */
export interface TpmQuote {
  readonly raw: Uint8Array;
  readonly qualifiedSigner: Uint8Array;
  readonly extraData: Uint8Array;
  readonly clock: bigint;
  readonly resetCount: number;
  readonly restartCount: number;
  readonly safe: boolean;
  readonly firmwareVersion: bigint;
  readonly selections: readonly PcrSelection[];
  readonly pcrDigest: Uint8Array;
}

const magic = 0xff544347;
const quoteType = 0x8018;
const maxBytes = 2048;

const sized = (reader: ByteReader, what: string): Uint8Array =>
  reader.bytes(what, reader.u16be(`size of ${what}`));

/** @throws AttestationError `malformed`. */
export function parseTpmQuote(raw: Uint8Array): TpmQuote {
  if (raw.length > maxBytes) fail("quote", `is over ${maxBytes} bytes`);
  const reader = readerOf("TPM quote", raw);
  // Only the TPM puts the magic in front of what it made itself: any key signs other data.
  if (reader.u32be("magic") !== magic) fail("quote", "was not made by a TPM (magic)");
  if (reader.u16be("type") !== quoteType) fail("quote", "is an attestation of another type");
  const qualifiedSigner = sized(reader, "qualified signer");
  const extraData = sized(reader, "extra data");
  const clock = reader.u64be("clock");
  const resetCount = reader.u32be("reset count");
  const restartCount = reader.u32be("restart count");
  const safe = reader.u8("safe");
  if (safe > 1) fail("quote", "has a flag that is neither yes nor no");
  const firmwareVersion = reader.u64be("firmware version");
  const count = reader.u32be("count of selections");
  if (count === 0 || count > 16) fail("quote", `selects ${count} banks`);
  const selections = Array.from({ length: count }, () => selection(reader));
  const banks = new Set(selections.map(({ hash }) => hash));
  if (banks.size !== selections.length) fail("quote", "selects a bank twice");
  const pcrDigest = sized(reader, "PCR digest");
  reader.end();
  return {
    raw,
    qualifiedSigner,
    extraData,
    clock,
    resetCount,
    restartCount,
    safe: safe === 1,
    firmwareVersion,
    selections,
    pcrDigest,
  };
}

function selection(reader: ByteReader): PcrSelection {
  const hash = reader.u16be("bank");
  const bits = reader.bytes("selected PCRs", reader.u8("size of the selection"));
  if (bits.length > 4) fail("quote", "selects PCRs over 31");
  const indices: number[] = [];
  for (const [i, byte] of bits.entries()) {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) indices.push(8 * i + bit);
  }
  return { hash, indices };
}

export interface TpmSignature {
  readonly algorithm: SignatureAlgorithm;
  /** Of the PCR digest as well. */
  readonly hash: "SHA-256" | "SHA-384" | "SHA-512";
  /** As `Crypto.verify` takes it. */
  readonly signature: Uint8Array;
}

const signatureHashes: Readonly<Record<number, "256" | "384" | "512">> = {
  [tpmAlgorithms.sha256]: "256",
  [tpmAlgorithms.sha384]: "384",
  [tpmAlgorithms.sha512]: "512",
};

/** TPMT_SIGNATURE (11.3.4). @throws AttestationError `malformed`; SHA-1 is not accepted. */
export function parseTpmSignature(raw: Uint8Array): TpmSignature {
  const reader = readerOf("TPM signature", raw);
  const scheme = reader.u16be("scheme");
  const hash = signatureHashes[reader.u16be("hash")] ?? fail("signature", "uses another hash");
  const prefix = schemePrefix(scheme) ?? fail("signature", `uses the scheme ${scheme}`);
  const ecdsa = prefix === "ES";
  let signature: Uint8Array;
  if (ecdsa) {
    const size = { "256": 32, "384": 48, "512": 66 }[hash];
    signature = concat(padded(sized(reader, "r"), size), padded(sized(reader, "s"), size));
  } else {
    signature = sized(reader, "signature");
    if (signature.length < 256 || signature.length > 512) fail("signature", "has another length");
  }
  reader.end();
  const name = `${prefix}${hash}` as SignatureAlgorithm;
  return { algorithm: name, hash: `SHA-${hash}`, signature };
}

function schemePrefix(scheme: number): "RS" | "PS" | "ES" | undefined {
  switch (scheme) {
    case tpmAlgorithms.rsassa:
      return "RS";
    case tpmAlgorithms.rsapss:
      return "PS";
    case tpmAlgorithms.ecdsa:
      return "ES";
    default:
      return undefined;
  }
}

function padded(value: Uint8Array, size: number): Uint8Array {
  if (value.length > size) fail("structure", "has a number that is too long");
  const out = new Uint8Array(size);
  out.set(value, size - value.length);
  return out;
}

export interface TpmPublicKey {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** TPMA_OBJECT (8.3), or undefined where only the key is known. */
  readonly attributes: number | undefined;
  /** What the key signs with, such as `RS256`; undefined where only the key is known. */
  readonly scheme: string | undefined;
}

/** Attributes of an attestation key: it signs nothing but what its TPM made, and never leaves it. */
export const akAttributes = { required: 0x0005_0032, forbidden: 0x0002_0000 } as const;

/** TPMT_PUBLIC (12.2.4) of an RSA or P-256/P-384 signing key. @throws AttestationError `malformed`. */
export function parseTpmPublic(raw: Uint8Array): TpmPublicKey {
  const reader = readerOf("TPM public area", raw);
  const type = reader.u16be("type");
  reader.u16be("name algorithm");
  const attributes = reader.u32be("attributes");
  sized(reader, "authorisation policy");
  if (reader.u16be("symmetric") !== tpmAlgorithms.null) fail("public area", "is of a storage key");
  // TPM2_Create refuses a restricted signing key without a scheme: with none it would sign in any.
  const prefix = schemePrefix(reader.u16be("scheme")) ?? fail("public area", "has no scheme");
  const hash = reader.u16be("scheme's hash");
  const scheme = `${prefix}${signatureHashes[hash] ?? `-0x${hash.toString(16)}`}`;
  let spki: Uint8Array;
  if (type === tpmAlgorithms.rsa) {
    reader.u16be("key bits");
    const exponent = reader.u32be("exponent");
    if (exponent !== 0 && exponent !== 65_537) fail("public area", "has another exponent");
    spki = rsaSpki(sized(reader, "modulus"));
  } else if (type === tpmAlgorithms.ecc) {
    const curve = ({ 3: "ES256", 4: "ES384" } as const)[reader.u16be("curve")];
    if (curve === undefined) fail("public area", "is on another curve");
    if (reader.u16be("KDF") !== tpmAlgorithms.null) reader.u16be("KDF's hash");
    const size = curve === "ES256" ? 32 : 48;
    const x = padded(sized(reader, "x"), size);
    const y = padded(sized(reader, "y"), size);
    spki = spkiOf(curve, x, y);
  } else {
    return fail("public area", "is of another type of key");
  }
  reader.end();
  return { spki, attributes, scheme };
}

/** SubjectPublicKeyInfo of an RSA key with the exponent 65537 (RFC 8017 A.1). */
export function rsaSpki(modulus: Uint8Array): Uint8Array<ArrayBuffer> {
  if (modulus.length < 256 || modulus.length > 1024) fail("key", "has another length");
  const integer = (modulus[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), modulus) : modulus;
  const key = der(0x30, concat(der(0x02, integer), Uint8Array.of(2, 3, 1, 0, 1)));
  const algorithm = Uint8Array.of(48, 13, 6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 1, 5, 0);
  return der(0x30, concat(algorithm, der(0x03, concat(Uint8Array.of(0), key))));
}

function der(tag: number, content: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat(Uint8Array.of(tag, 0x82, content.length >> 8, content.length & 0xff), content);
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `The TPM ${what} ${reason}.`);
}
