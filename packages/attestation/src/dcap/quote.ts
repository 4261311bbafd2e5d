/**
 * Quotes of Intel's DCAP: version 3 (SGX), 4 (SGX, TDX 1.0) and 5 (body descriptor; TDX 1.5).
 * Source: Intel SGX ECDSA QuoteLibReference DCAP API, appendix A.4; Intel TDX DCAP Quote Generation
 * Library, appendix A.3.
 */
import { AttestationError } from "../errors.ts";
import { type ByteReader, readerOf } from "../reader.ts";

export type QuoteBodyKind = "sgx" | "td10" | "td15";

export interface EnclaveReport {
  readonly raw: Uint8Array;
  readonly cpuSvn: Uint8Array;
  readonly miscSelect: Uint8Array;
  readonly isvExtProdId: Uint8Array;
  /** Flags (8 bytes) and XFRM (8 bytes). */
  readonly attributes: Uint8Array;
  readonly mrEnclave: Uint8Array;
  readonly mrSigner: Uint8Array;
  readonly configId: Uint8Array;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly configSvn: number;
  readonly isvFamilyId: Uint8Array;
  readonly reportData: Uint8Array;
}

export interface TdReport {
  readonly teeTcbSvn: Uint8Array;
  readonly mrSeam: Uint8Array;
  readonly mrSignerSeam: Uint8Array;
  readonly seamAttributes: Uint8Array;
  readonly tdAttributes: Uint8Array;
  readonly xfam: Uint8Array;
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly rtmr: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  readonly reportData: Uint8Array;
  /** TD 1.5 only. */
  readonly teeTcbSvn2: Uint8Array | undefined;
  readonly mrServiceTd: Uint8Array | undefined;
}

/** Certification data (table 9): how the key that signed the QE report is certified. */
export interface CertificationData {
  readonly type: number;
  readonly data: Uint8Array;
}

interface QuoteParts {
  readonly version: 3 | 4 | 5;
  readonly qeSvn: number;
  readonly pceSvn: number;
  readonly qeVendorId: Uint8Array;
  readonly userData: Uint8Array;
  /** Header, body descriptor and body: what the attestation key signs. */
  readonly signed: Uint8Array;
  /** r ‖ s. */
  readonly signature: Uint8Array;
  /** x ‖ y of the attestation key, P-256. */
  readonly attestationKey: Uint8Array;
  readonly qeReport: EnclaveReport;
  readonly qeReportSignature: Uint8Array;
  readonly qeAuthData: Uint8Array;
  readonly certification: CertificationData;
  /** After the quote's end. Real ones come padded to a buffer's size. */
  readonly padding: Uint8Array;
}

export interface SgxQuote extends QuoteParts {
  readonly kind: "sgx";
  readonly body: EnclaveReport;
}

export interface TdxQuote extends QuoteParts {
  readonly kind: "td10" | "td15";
  readonly body: TdReport;
}

export type Quote = SgxQuote | TdxQuote;

const maxQuoteBytes = 64 * 1024;
const teeTypes = { sgx: 0, tdx: 0x81 } as const;
/** ECDSA with P-256; 3 (P-384) is reserved and made by no quoting enclave. */
const ecdsaP256 = 2;
const bodySizes: Readonly<Record<QuoteBodyKind, number>> = { sgx: 384, td10: 584, td15: 648 };
const bodyTypes: Readonly<Record<number, QuoteBodyKind>> = { 1: "sgx", 2: "td10", 3: "td15" };
/** Type 6: a QE report with its own certification data inside (version 4 and 5). */
const qeReportCertification = 6;

/** @throws AttestationError `malformed` for anything but one whole quote, with `padding` after it. */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > maxQuoteBytes) fail(`is over ${maxQuoteBytes} bytes`);
  const reader = readerOf("Quote", bytes);
  const version = reader.u16le("version");
  if (version !== 3 && version !== 4 && version !== 5) fail(`has the unknown version ${version}`);
  const keyType = reader.u16le("attestation key type");
  if (keyType !== ecdsaP256) fail(`has the attestation key type ${keyType}, not 2 (ECDSA P-256)`);
  const tee = reader.u32le("TEE type");
  // In version 3 these bytes are reserved: it has no other TEE than SGX.
  if (tee !== teeTypes.sgx && (tee !== teeTypes.tdx || version === 3)) {
    fail(`has the unknown TEE type ${tee}`);
  }
  const qeSvn = reader.u16le("QE SVN");
  const pceSvn = reader.u16le("PCE SVN");
  const qeVendorId = reader.bytes("QE vendor id", 16);
  const userData = reader.bytes("user data", 20);
  const kind = bodyKind(reader, version, tee);
  const body = reader.bytes("body", bodySizes[kind]);
  const signed = bytes.subarray(0, reader.offset);
  const length = reader.u32le("length of the authentication data");
  const auth = reader.bytes("authentication data", length);
  const parts: QuoteParts = {
    version,
    qeSvn,
    pceSvn,
    qeVendorId,
    userData,
    signed,
    padding: reader.bytes("padding", reader.left),
    ...authOf(auth, version),
  };
  return kind === "sgx"
    ? { kind, body: enclaveReport(body), ...parts }
    : { kind, body: tdReport(body), ...parts };
}

function bodyKind(reader: ByteReader, version: number, tee: number): QuoteBodyKind {
  if (version < 5) return tee === teeTypes.tdx ? "td10" : "sgx";
  const type = reader.u16le("body type");
  const size = reader.u32le("body size");
  const kind = Object.hasOwn(bodyTypes, type) ? bodyTypes[type] : undefined;
  if (kind === undefined) return fail(`has the unknown body type ${type}`);
  if (size !== bodySizes[kind]) fail(`has a body of ${size} bytes, not ${bodySizes[kind]}`);
  if ((kind === "sgx") !== (tee === teeTypes.sgx)) fail("has a body of another TEE");
  return kind;
}

type Auth = Pick<
  Quote,
  "signature" | "attestationKey" | "qeReport" | "qeReportSignature" | "qeAuthData" | "certification"
>;

function authOf(auth: Uint8Array, version: number): Auth {
  const outer = readerOf("Quote authentication data", auth);
  const signature = outer.bytes("signature", 64);
  const attestationKey = outer.bytes("attestation key", 64);
  let inner = outer;
  if (version >= 4) {
    const { type, data } = certificationOf(outer);
    if (type !== qeReportCertification) fail(`has certification data of type ${type}, not 6`);
    outer.end();
    inner = readerOf("QE report certification data", data);
  }
  const qeReport = enclaveReport(inner.bytes("QE report", bodySizes.sgx));
  const qeReportSignature = inner.bytes("QE report signature", 64);
  const qeAuthData = inner.bytes("QE authentication data", inner.u16le("its length"));
  const certification = certificationOf(inner);
  inner.end();
  return { signature, attestationKey, qeReport, qeReportSignature, qeAuthData, certification };
}

function certificationOf(reader: ByteReader): CertificationData {
  const type = reader.u16le("certification data type");
  const data = reader.bytes("certification data", reader.u32le("its length"));
  return { type, data };
}

function enclaveReport(raw: Uint8Array): EnclaveReport {
  const reader = readerOf("Enclave report", raw);
  const cpuSvn = reader.bytes("CPUSVN", 16);
  const miscSelect = reader.bytes("MISCSELECT", 4);
  reader.bytes("reserved", 12);
  const isvExtProdId = reader.bytes("ISVEXTPRODID", 16);
  const attributes = reader.bytes("ATTRIBUTES", 16);
  const mrEnclave = reader.bytes("MRENCLAVE", 32);
  reader.bytes("reserved", 32);
  const mrSigner = reader.bytes("MRSIGNER", 32);
  reader.bytes("reserved", 32);
  const configId = reader.bytes("CONFIGID", 64);
  const isvProdId = reader.u16le("ISVPRODID");
  const isvSvn = reader.u16le("ISVSVN");
  const configSvn = reader.u16le("CONFIGSVN");
  reader.bytes("reserved", 42);
  const isvFamilyId = reader.bytes("ISVFAMILYID", 16);
  const reportData = reader.bytes("REPORTDATA", 64);
  return {
    raw,
    cpuSvn,
    miscSelect,
    isvExtProdId,
    attributes,
    mrEnclave,
    mrSigner,
    configId,
    isvProdId,
    isvSvn,
    configSvn,
    isvFamilyId,
    reportData,
  };
}

function tdReport(raw: Uint8Array): TdReport {
  const reader = readerOf("TD report", raw);
  const digest = (name: string): Uint8Array => reader.bytes(name, 48);
  return {
    teeTcbSvn: reader.bytes("TEE_TCB_SVN", 16),
    mrSeam: digest("MRSEAM"),
    mrSignerSeam: digest("MRSIGNERSEAM"),
    seamAttributes: reader.bytes("SEAMATTRIBUTES", 8),
    tdAttributes: reader.bytes("TDATTRIBUTES", 8),
    xfam: reader.bytes("XFAM", 8),
    mrTd: digest("MRTD"),
    mrConfigId: digest("MRCONFIGID"),
    mrOwner: digest("MROWNER"),
    mrOwnerConfig: digest("MROWNERCONFIG"),
    rtmr: [digest("RTMR0"), digest("RTMR1"), digest("RTMR2"), digest("RTMR3")],
    reportData: reader.bytes("REPORTDATA", 64),
    teeTcbSvn2: reader.left > 0 ? reader.bytes("TEE_TCB_SVN2", 16) : undefined,
    mrServiceTd: reader.left > 0 ? digest("MRSERVICETD") : undefined,
  };
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The quote ${reason}.`);
}
