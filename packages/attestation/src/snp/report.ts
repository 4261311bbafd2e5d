/**
 * Attestation reports of SEV-SNP, versions 2 to 5, 1,184 bytes. Source: AMD SEV Secure Nested Paging
 * Firmware ABI Specification (56860), table 23; version 4 was never published and has the layout of
 * its neighbours.
 */
import { AttestationError } from "../errors.ts";
import { readerOf } from "../reader.ts";

export const snpReportBytes = 1184;

/** A TCB version, eight bytes whose meaning is the product's. */
export type TcbBytes = Uint8Array;

export interface SnpReport {
  readonly raw: Uint8Array;
  readonly version: number;
  readonly guestSvn: number;
  readonly policy: bigint;
  readonly familyId: Uint8Array;
  readonly imageId: Uint8Array;
  readonly vmpl: number;
  readonly signatureAlgorithm: number;
  readonly currentTcb: TcbBytes;
  readonly platformInfo: bigint;
  readonly authorKeyEnabled: boolean;
  readonly maskChipKey: boolean;
  /** 0 VCEK, 1 VLEK, 7 none. */
  readonly signingKey: number;
  readonly reportData: Uint8Array;
  readonly measurement: Uint8Array;
  readonly hostData: Uint8Array;
  readonly idKeyDigest: Uint8Array;
  readonly authorKeyDigest: Uint8Array;
  readonly reportId: Uint8Array;
  readonly reportIdMa: Uint8Array;
  readonly reportedTcb: TcbBytes;
  /** CPUID family and model; undefined before version 3. */
  readonly cpuid:
    | { readonly family: number; readonly model: number; readonly stepping: number }
    | undefined;
  readonly chipId: Uint8Array;
  readonly committedTcb: TcbBytes;
  /** Major, minor, build. */
  readonly currentFirmware: readonly [number, number, number];
  readonly committedFirmware: readonly [number, number, number];
  readonly launchTcb: TcbBytes;
  /** Version 5 and later. */
  readonly launchMitigations: bigint | undefined;
  readonly currentMitigations: bigint | undefined;
  /** r and s, little-endian, 72 bytes each. */
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/** Bytes that the signature covers. */
export const signedBytes = 0x2a0;

/** @throws AttestationError `malformed` for another length, version or non-zero unsigned bytes. */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  if (bytes.length !== snpReportBytes) {
    fail(`has ${bytes.length} bytes, not ${snpReportBytes}`);
  }
  const reader = readerOf("SEV-SNP report", bytes);
  const version = reader.u32le("version");
  if (version < 2 || version > 5) fail(`has the version ${version}, not 2 to 5`);
  const guestSvn = reader.u32le("guest SVN");
  const policy = reader.u64le("policy");
  const familyId = reader.bytes("family id", 16);
  const imageId = reader.bytes("image id", 16);
  const vmpl = reader.u32le("VMPL");
  const signatureAlgorithm = reader.u32le("signature algorithm");
  const currentTcb = reader.bytes("current TCB", 8);
  const platformInfo = reader.u64le("platform info");
  const keys = reader.u32le("key info");
  const reserved: Uint8Array[] = [reader.bytes("reserved", 4)];
  const reportData = reader.bytes("report data", 64);
  const measurement = reader.bytes("measurement", 48);
  const hostData = reader.bytes("host data", 32);
  const idKeyDigest = reader.bytes("id key digest", 48);
  const authorKeyDigest = reader.bytes("author key digest", 48);
  const reportId = reader.bytes("report id", 32);
  const reportIdMa = reader.bytes("report id of the migration agent", 32);
  const reportedTcb = reader.bytes("reported TCB", 8);
  const [family, model, stepping] = reader.bytes("CPUID", 3) as unknown as [number, number, number];
  reserved.push(reader.bytes("reserved", 21));
  const chipId = reader.bytes("chip id", 64);
  const committedTcb = reader.bytes("committed TCB", 8);
  const firmware = (): readonly [number, number, number] => {
    const [build, minor, major, zero] = reader.bytes("firmware", 4) as unknown as number[];
    if (zero !== 0) fail("has a reserved byte that is not zero");
    return [major ?? 0, minor ?? 0, build ?? 0];
  };
  const currentFirmware = firmware();
  const committedFirmware = firmware();
  const launchTcb = reader.bytes("launch TCB", 8);
  const launchMitigations = reader.u64le("launch mitigation vector");
  const currentMitigations = reader.u64le("current mitigation vector");
  reserved.push(reader.bytes("reserved", signedBytes - reader.offset));
  const r = reader.bytes("r", 72);
  const s = reader.bytes("s", 72);
  // Nothing signs what follows: it must leave no choice.
  reserved.push(reader.bytes("reserved", reader.left));
  if (version < 3 && (family !== 0 || model !== 0 || stepping !== 0))
    fail("has a CPUID in version 2");
  if (version < 5 && (launchMitigations !== 0n || currentMitigations !== 0n)) {
    fail("has mitigation vectors before version 5");
  }
  if (reserved.some((part) => part.some((byte) => byte !== 0))) {
    fail("has reserved bytes that are not zero");
  }
  return {
    raw: bytes,
    version,
    guestSvn,
    policy,
    familyId,
    imageId,
    vmpl,
    signatureAlgorithm,
    currentTcb,
    platformInfo,
    authorKeyEnabled: (keys & 1) !== 0,
    maskChipKey: (keys & 2) !== 0,
    signingKey: (keys >> 2) & 7,
    reportData,
    measurement,
    hostData,
    idKeyDigest,
    authorKeyDigest,
    reportId,
    reportIdMa,
    reportedTcb,
    cpuid: version < 3 ? undefined : { family, model, stepping },
    chipId,
    committedTcb,
    currentFirmware,
    committedFirmware,
    launchTcb,
    launchMitigations: version < 5 ? undefined : launchMitigations,
    currentMitigations: version < 5 ? undefined : currentMitigations,
    r,
    s,
  };
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The SEV-SNP report ${reason}.`);
}
