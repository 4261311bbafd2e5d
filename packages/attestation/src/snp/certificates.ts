/**
 * The certificates beside a report: where they come from, and what a VCEK or VLEK says. Source:
 * VCEK Certificate and KDS Interface Specification (57230) section 3.1; GHCB (56421) section 4.1.8.
 */
import { AttestationError } from "../errors.ts";
import type { Collateral, Evidence } from "../evidence.ts";
import { readerOf, textOfBytes } from "../reader.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { childrenOf, numberOf, readDer, tags } from "../x509/der.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import type { Certificate } from "../x509/types.ts";
import type { TcbVersion } from "./product.ts";

const arc = "1.3.6.1.4.1.3704.1";
const oids = {
  productName: `${arc}.2`,
  bootloader: `${arc}.3.1`,
  tee: `${arc}.3.2`,
  snp: `${arc}.3.3`,
  microcode: `${arc}.3.8`,
  fmc: `${arc}.3.9`,
  hardwareId: `${arc}.4`,
  cspId: `${arc}.5`,
} as const;

const maxCertificates = 16;
const maxBytes = 64 * 1024;

/** All certificates of the evidence's and the collateral's `certificates` entries. */
export function certificatesOf(evidence: Evidence, collateral: Collateral): readonly Certificate[] {
  const sources = [collateral["certificates"], evidence.attachments["certificates"]];
  return sources.flatMap((bytes) => (bytes === undefined ? [] : parseCertificates(bytes)));
}

/**
 * PEM, DER (one after another), or the table of GUIDs that the hypervisor gives beside a report.
 * @throws AttestationError `malformed`.
 */
export function parseCertificates(bytes: Uint8Array): readonly Certificate[] {
  if (bytes.length > maxBytes) fail(`over ${maxBytes} bytes`);
  const ders = isPem(bytes)
    ? decodePem("AMD certificates", bytes)
    : bytes[0] === 0x30
      ? sequence(bytes)
      : table(bytes);
  if (ders.length > maxCertificates) fail(`more than ${maxCertificates}`);
  return ders.map((der) => parseCertificate("AMD certificate", der));
}

function sequence(bytes: Uint8Array): Uint8Array[] {
  // Children of a structure that is not there: each is bounded by what is left.
  const nodes = childrenOf("AMD certificates", { tag: tags.sequence, raw: bytes, content: bytes });
  return nodes.map(({ raw }) => raw);
}

/** Entries of GUID (16), offset (u32) and length (u32), up to a GUID of zeros. */
function table(bytes: Uint8Array): Uint8Array[] {
  const reader = readerOf("AMD certificate table", bytes);
  const found: Uint8Array[] = [];
  for (let i = 0; i <= maxCertificates; i++) {
    const guid = reader.bytes("GUID", 16);
    const offset = reader.u32le("offset");
    const length = reader.u32le("length");
    if (guid.every((byte) => byte === 0)) return found;
    if (offset + length > bytes.length) fail("an entry outside the table");
    const entry = bytes.subarray(offset, offset + length);
    // A CRL may be in the table; collateral is where a CRL is taken from.
    if (entry[0] === 0x30 && isCertificate(entry)) found.push(entry);
  }
  return fail("a table without its end");
}

function isCertificate(der: Uint8Array): boolean {
  try {
    parseCertificate("AMD certificate", der);
    return true;
  } catch {
    return false;
  }
}

export type LeafKind = "VCEK" | "VLEK";

/** What a leaf's extensions say. */
export interface AmdLeaf {
  readonly kind: LeafKind;
  readonly productName: string;
  readonly tcb: TcbVersion;
  /** 64 bytes, or 8 on Turin; a VLEK has none. */
  readonly hardwareId: Uint8Array | undefined;
  /** Of the cloud that a VLEK was made for. */
  readonly cspId: string | undefined;
}

export function kindOf(certificate: Certificate): LeafKind | undefined {
  if (certificate.commonName === "SEV-VCEK") return "VCEK";
  return certificate.commonName === "SEV-VLEK" ? "VLEK" : undefined;
}

/** @throws AttestationError `malformed` for a certificate that lacks what its kind must have. */
export function leafOf(certificate: Certificate): AmdLeaf {
  const kind = kindOf(certificate);
  if (kind === undefined) fail("a leaf that is neither SEV-VCEK nor SEV-VLEK");
  const value = (oid: string): Uint8Array | undefined => certificate.extensions.get(oid)?.value;
  const svn = (oid: string): number => {
    const der = value(oid);
    if (der === undefined) return fail(`a leaf without the extension ${oid}`);
    return numberOf("AMD leaf", readDer("AMD leaf", der));
  };
  const name = value(oids.productName);
  const hardwareId = value(oids.hardwareId);
  const csp = value(oids.cspId);
  if (name === undefined) fail("a leaf without a product name");
  // Each kind has what the other lacks: a chip's identity or a cloud's.
  if ((kind === "VCEK") !== (hardwareId !== undefined)) fail("a leaf with a wrong hardware id");
  if ((kind === "VLEK") !== (csp !== undefined)) fail("a leaf with a wrong CSP id");
  return {
    kind,
    productName: textOf(name),
    tcb: {
      fmc: certificate.extensions.has(oids.fmc) ? svn(oids.fmc) : undefined,
      bootloader: svn(oids.bootloader),
      tee: svn(oids.tee),
      snp: svn(oids.snp),
      microcode: svn(oids.microcode),
    },
    hardwareId: hardwareId === undefined ? undefined : hardwareIdOf(hardwareId),
    cspId: csp === undefined ? undefined : textOf(csp),
  };
}

/** Older VCEKs hold the identity raw, newer ones as an OCTET STRING; both are in the field. */
function hardwareIdOf(value: Uint8Array): Uint8Array {
  if (value.length === 64 || value.length === 8) return value;
  const node = readDer("Hardware id", value);
  const length = node.content.length;
  if (node.tag !== tags.octetString || (length !== 64 && length !== 8)) {
    fail("a hardware id of another form");
  }
  return node.content;
}

/** IA5String. */
function textOf(value: Uint8Array): string {
  const { tag, content } = readDer("AMD leaf", value);
  const text = textOfBytes("AMD leaf", content);
  if (tag !== 0x16 || !/^[\x20-\x7e]{1,128}$/.test(text)) fail("a name that is not text");
  return text;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The AMD certificates are not acceptable: ${reason}.`);
}
