/**
 * Hygon's certificates: 832 bytes for the authorities (HRK, HSK), 2,084 for the chip's (CEK, PEK, OCA,
 * PDH). Little-endian, SM2 keys and signatures. Source: openanolis/csv-rs (Hygon's own), librats.
 */
import { equalBytes } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { readerOf } from "../reader.ts";
import { type Sm2PublicKey, verifySm2 } from "../sm/sm2.ts";

export const hygonCaBytes = 832;
export const csvCertificateBytes = 2084;

/** Usage codes: what a key is for. */
export const usage = {
  hrk: 0x0,
  hsk: 0x13,
  none: 0x1000,
  oca: 0x1001,
  pek: 0x1002,
  pdh: 0x1003,
  cek: 0x1004,
} as const;

/** Curve 3 is SM2; algorithm 4 SM2 with SM3. */
const sm2 = { curve: 3, algorithm: 4 } as const;

export interface HygonKey extends Sm2PublicKey {
  /** Part of every signature that the key makes. */
  readonly userId: Uint8Array;
}

export interface HygonSignature {
  readonly usage: number;
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

interface Common {
  readonly raw: Uint8Array;
  /** What the signatures are over. */
  readonly signed: Uint8Array;
  readonly version: number;
  readonly usage: number;
  readonly key: HygonKey;
}

export interface HygonCa extends Common {
  readonly keyId: Uint8Array;
  readonly certifyingId: Uint8Array;
  readonly signature: HygonSignature;
}

export interface CsvCertificate extends Common {
  readonly apiMajor: number;
  readonly apiMinor: number;
  /** Two slots; an empty one has the usage `none`. */
  readonly signatures: readonly [HygonSignature, HygonSignature];
}

/** @throws AttestationError `malformed`. */
export function parseHygonCa(what: string, raw: Uint8Array): HygonCa {
  if (raw.length !== hygonCaBytes) fail(what, `has ${raw.length} bytes, not ${hygonCaBytes}`);
  const reader = readerOf(what, raw);
  const version = reader.u32le("version");
  const keyId = reader.bytes("key id", 16);
  const certifyingId = reader.bytes("certifying id", 16);
  const own = reader.u32le("usage");
  reader.bytes("reserved", 24);
  const key = keyOf(what, reader.bytes("key", 404));
  reader.bytes("reserved", 108);
  const signed = raw.subarray(0, reader.offset);
  const signature = signatureOf(what, own, reader.bytes("signature", 144));
  requireZero(what, reader.bytes("reserved", 112));
  return { raw, signed, version, usage: own, key, keyId, certifyingId, signature };
}

/** @throws AttestationError `malformed`. */
export function parseCsvCertificate(what: string, raw: Uint8Array): CsvCertificate {
  if (raw.length !== csvCertificateBytes) {
    fail(what, `has ${raw.length} bytes, not ${csvCertificateBytes}`);
  }
  const reader = readerOf(what, raw);
  const version = reader.u32le("version");
  const apiMajor = reader.u8("API major");
  const apiMinor = reader.u8("API minor");
  reader.bytes("reserved", 2);
  const own = reader.u32le("usage");
  const algorithm = reader.u32le("algorithm");
  if (algorithm !== sm2.algorithm) fail(what, `has the algorithm ${algorithm}, not 4 (SM2)`);
  const key = keyOf(what, reader.bytes("key", 404));
  reader.bytes("reserved", 624);
  const signed = raw.subarray(0, reader.offset);
  const slot = (): HygonSignature => {
    const by = reader.u32le("signature usage");
    const how = reader.u32le("signature algorithm");
    const empty = by === usage.none;
    if (how !== (empty ? 0 : sm2.algorithm)) fail(what, "has a signature of another algorithm");
    const signature = signatureOf(what, by, reader.bytes("signature", 144));
    // An empty slot is not covered by anything: it must be empty.
    if (empty) requireZero(what, signature.r, signature.s);
    requireZero(what, reader.bytes("reserved", 368));
    return signature;
  };
  const signatures = [slot(), slot()] as const;
  return { raw, signed, version, usage: own, key, apiMajor, apiMinor, signatures };
}

/** curve u32, x 72, y 72, length u16, user id 254. */
function keyOf(what: string, bytes: Uint8Array): HygonKey {
  const reader = readerOf(what, bytes);
  const curve = reader.u32le("curve");
  if (curve !== sm2.curve) fail(what, `is on curve ${curve}, not 3 (SM2)`);
  const x = numberOf(what, reader.bytes("x", 72));
  const y = numberOf(what, reader.bytes("y", 72));
  const length = reader.u16le("length of the user id");
  const userId = reader.bytes("user id", 254);
  if (length > userId.length) fail(what, "has a user id that is too long");
  return { x, y, userId: userId.subarray(0, length) };
}

export function signatureOf(what: string, by: number, bytes: Uint8Array): HygonSignature {
  return {
    usage: by,
    r: numberOf(what, bytes.subarray(0, 72)),
    s: numberOf(what, bytes.subarray(72, 144)),
  };
}

/** 72 bytes little-endian of a number of 32; the rest must be zero. */
function numberOf(what: string, bytes: Uint8Array): Uint8Array {
  requireZero(what, bytes.subarray(32));
  return new Uint8Array(bytes.subarray(0, 32)).reverse();
}

function requireZero(what: string, ...parts: readonly Uint8Array[]): void {
  if (parts.some((part) => part.some((byte) => byte !== 0))) {
    fail(what, "has reserved bytes that are not zero");
  }
}

/** True if `signer` signed these bytes, under the signer's own user id. */
export function signedBy(signer: HygonKey, signed: Uint8Array, signature: HygonSignature): boolean {
  return verifySm2(signer, signer.userId, signed, signature);
}

/** Everything that the bytes hold: authorities and chip certificates one after another. */
export function parseHygonCertificates(bytes: Uint8Array): {
  readonly authorities: readonly HygonCa[];
  readonly certificates: readonly CsvCertificate[];
} {
  const what = "Hygon certificates";
  if (bytes.length > 16 * csvCertificateBytes) fail(what, "are too many");
  const authorities: HygonCa[] = [];
  const certificates: CsvCertificate[] = [];
  for (let at = 0; at < bytes.length; ) {
    const left = bytes.length - at;
    // An authority has its key id where a chip's certificate has API version and usage.
    if (left >= csvCertificateBytes && isChipUsage(bytes, at)) {
      const raw = bytes.subarray(at, at + csvCertificateBytes);
      certificates.push(parseCsvCertificate(what, raw));
      at += csvCertificateBytes;
    } else {
      authorities.push(parseHygonCa(what, bytes.subarray(at, at + hygonCaBytes)));
      at += hygonCaBytes;
    }
  }
  return { authorities, certificates };
}

function isChipUsage(bytes: Uint8Array, at: number): boolean {
  const code = bytes.subarray(at + 8, at + 12);
  return [usage.oca, usage.pek, usage.pdh, usage.cek].some((known) =>
    equalBytes(code, Uint8Array.of(known & 0xff, known >> 8, 0, 0)),
  );
}

function fail(what: string, reason: string): never {
  throw new AttestationError("malformed", `${what} ${reason}.`);
}
