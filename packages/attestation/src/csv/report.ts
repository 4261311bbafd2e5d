/**
 * Attestation reports of Hygon CSV: version 1 (fields under an XOR with ANONCE) and the extended
 * version 2 of CSV3 (build, runtime measurements, no XOR). Source: openanolis/csv-rs, librats.
 */
import { equalBytes, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { readerOf } from "../reader.ts";
import { csvCertificateBytes, type HygonSignature, signatureOf, usage } from "./certificate.ts";

export interface CsvReport {
  readonly version: 1 | 2;
  readonly userKeyDigest: Uint8Array;
  readonly vmId: Uint8Array;
  readonly vmVersion: Uint8Array;
  readonly reportData: Uint8Array;
  readonly mnonce: Uint8Array;
  readonly measure: Uint8Array;
  readonly policy: number;
  /** Version 2 only. */
  readonly build: number | undefined;
  readonly rtmrVersion: number | undefined;
  readonly rtmrs: readonly Uint8Array[];
  readonly signed: Uint8Array;
  readonly signature: HygonSignature;
  /** In clear. */
  readonly pek: Uint8Array;
  /** In clear, without the zeros after it. */
  readonly serialNumber: Uint8Array;
  /** Over these bytes the MAC was made; undefined if somebody has taken the XOR off already. */
  readonly maced: Uint8Array | undefined;
  readonly mac: Uint8Array;
}

/** Sizes: a bare version 1 report, a page, and a page after magic and flags (csv-rs's wrapper). */
export const csvReportBytes = { bare: 2548, page: 4096, wrapped: 4116 } as const;

const extendedMagic = utf8("ATTESTATION_EXT\0");
const signedV1 = 180;
const signedV2 = 1024;
const signerBytes = csvCertificateBytes + 64 + 32 + 32;
const sm2Algorithm = 4;

/** @throws AttestationError `malformed`. */
export function parseCsvReport(bytes: Uint8Array): CsvReport {
  const { bare, page, wrapped } = csvReportBytes;
  if (bytes.length === bare || bytes.length === page) return parseV1(bytes);
  if (bytes.length !== wrapped)
    fail(`has ${bytes.length} bytes, not ${bare}, ${page} or ${wrapped}`);
  const magic = bytes.subarray(0, 16);
  const flags = bytes.subarray(16, 20);
  const data = bytes.subarray(20);
  const plain = magic.every((byte) => byte === 0) && flags.every((byte) => byte === 0);
  if (plain) return parseV1(data);
  const extended = equalBytes(magic, extendedMagic) && equalBytes(flags, Uint8Array.of(1, 0, 0, 0));
  return extended ? parseV2(data) : fail("has another magic or other flags");
}

function parseV1(bytes: Uint8Array): CsvReport {
  const reader = readerOf("CSV report", bytes);
  const anonce = bytes.subarray(188, 192);
  const clear = (what: string, length: number): Uint8Array =>
    xor(reader.bytes(what, length), anonce);
  const fields = commonFields(clear);
  requireSigner(clear("signature usage", 4), clear("signature algorithm", 4));
  reader.bytes("ANONCE", 4);
  const signature = signatureOf("CSV report", usage.pek, reader.bytes("signature", 144));
  const signer = reader.bytes("signer", signerBytes);
  requireZero(reader.bytes("padding", reader.left));
  return {
    version: 1,
    ...fields,
    build: undefined,
    rtmrVersion: undefined,
    rtmrs: [],
    signed: bytes.subarray(0, signedV1),
    signature,
    ...signerOf(signer, anonce),
  };
}

function parseV2(bytes: Uint8Array): CsvReport {
  const reader = readerOf("CSV report", bytes);
  const clear = (what: string, length: number): Uint8Array => reader.bytes(what, length);
  const fields = commonFields(clear);
  requireSigner(clear("signature usage", 4), clear("signature algorithm", 4));
  const build = reader.u32le("build");
  const rtmrVersion = reader.u16le("RTMR version");
  reader.bytes("reserved", 14);
  const rtmrs = [0, 1, 2, 3, 4].map((i) => reader.bytes(`RTMR${i}`, 32));
  reader.bytes("reserved", signedV2 - reader.offset);
  const signature = signatureOf("CSV report", usage.pek, reader.bytes("signature", 144));
  const signer = reader.bytes("signer", signerBytes);
  requireZero(reader.bytes("padding", reader.left));
  return {
    version: 2,
    ...fields,
    build,
    rtmrVersion,
    rtmrs,
    signed: bytes.subarray(0, signedV2),
    signature,
    ...signerOf(signer, new Uint8Array(4)),
  };
}

type Take = (what: string, length: number) => Uint8Array;

function commonFields(
  take: Take,
): Pick<
  CsvReport,
  "userKeyDigest" | "vmId" | "vmVersion" | "reportData" | "mnonce" | "measure" | "policy"
> {
  return {
    userKeyDigest: take("user public key digest", 32),
    vmId: take("VM id", 16),
    vmVersion: take("VM version", 16),
    reportData: take("report data", 64),
    mnonce: take("MNONCE", 16),
    measure: take("measure", 32),
    policy: number32(take("policy", 4)),
  };
}

function number32(bytes: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

function requireSigner(by: Uint8Array, algorithm: Uint8Array): void {
  if (number32(by) !== usage.pek || number32(algorithm) !== sm2Algorithm) {
    fail("is not signed by a PEK with SM2");
  }
}

/** PEK, serial number, a reserved field and the MAC: under the XOR, or taken out of it already. */
function signerOf(
  signer: Uint8Array,
  anonce: Uint8Array,
): Pick<CsvReport, "pek" | "serialNumber" | "maced" | "mac"> {
  const stored = signer.subarray(0, csvCertificateBytes);
  const serial = signer.subarray(csvCertificateBytes, csvCertificateBytes + 64);
  const reserved = signer.subarray(csvCertificateBytes + 64, csvCertificateBytes + 96);
  const mac = signer.subarray(csvCertificateBytes + 96);
  const masked = anonce.some((byte) => byte !== 0);
  // Agents restore the PEK and clear the reserved field that the MAC covers.
  const restored = masked && isPek(stored) && !isPek(xor(stored, anonce));
  if (restored) requireZero(reserved);
  const mask = restored ? new Uint8Array(4) : anonce;
  return {
    pek: xor(stored, mask),
    serialNumber: withoutZeros(xor(serial, mask)),
    maced: restored ? undefined : signer.subarray(0, csvCertificateBytes + 96),
    mac,
  };
}

function isPek(certificate: Uint8Array): boolean {
  return number32(certificate.subarray(8, 12)) === usage.pek;
}

function xor(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => byte ^ (mask[i % 4] as number));
}

function withoutZeros(bytes: Uint8Array): Uint8Array {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return bytes.subarray(0, end);
}

function requireZero(bytes: Uint8Array): void {
  if (bytes.some((byte) => byte !== 0)) fail("has padding that is not zero");
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The CSV report ${reason}.`);
}
