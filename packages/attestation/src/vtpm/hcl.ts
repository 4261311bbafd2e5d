/**
 * The report of Azure's paravisor (HCL): a hardware report whose report data is the hash of a JSON with
 * the vTPM's attestation key. Source: Azure "guest attestation for confidential VMs", NV index 0x01400001.
 */
import { fromBase64Url } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { readerOf, textOfBytes } from "../reader.ts";
import { rsaSpki } from "../tpm/structures.ts";

export interface HclReport {
  /** 1,184 bytes: an SNP report, or a TDREPORT of 1,024 and padding. */
  readonly hardware: Uint8Array;
  /** `snp` or `tdx`, as the runtime data says. */
  readonly kind: "snp" | "tdx";
  /** The exact bytes that the hardware's report data is the SHA-256 of. */
  readonly runtime: Uint8Array;
}

const maxBytes = 16 * 1024;
const kinds: Readonly<Record<number, "snp" | "tdx">> = { 2: "snp", 4: "tdx" };
const sha256 = 1;

/** @throws AttestationError `malformed`. */
export function parseHclReport(bytes: Uint8Array): HclReport {
  if (bytes.length > maxBytes) fail(`is over ${maxBytes} bytes`);
  const reader = readerOf("HCL report", bytes);
  const magic = reader.u32be("magic");
  if (magic !== 0x48434c41) fail("does not begin with HCLA");
  reader.bytes("header", 28);
  const hardware = reader.bytes("hardware report", 1184);
  reader.u32le("size of the runtime data");
  reader.u32le("version of the runtime data");
  const kind = kinds[reader.u32le("report type")];
  if (kind === undefined) return fail("is of another TEE than SNP and TDX");
  if (reader.u32le("hash") !== sha256) fail("uses another hash than SHA-256");
  const runtime = reader.bytes("runtime data", reader.u32le("length of the runtime data"));
  if (reader.bytes("padding", reader.left).some((byte) => byte !== 0)) {
    fail("has bytes after its end that are not zero");
  }
  return { hardware, kind, runtime };
}

export interface RuntimeClaims {
  /** SubjectPublicKeyInfo of the vTPM's attestation key. */
  readonly ak: Uint8Array;
  /** 64 bytes that the guest asked for, where the paravisor is new enough. */
  readonly userData: Uint8Array | undefined;
}

/** @throws AttestationError `malformed`. */
export function parseRuntimeData(runtime: Uint8Array): RuntimeClaims {
  if (runtime.length > maxBytes) fail(`has runtime data of over ${maxBytes} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(textOfBytes("HCL runtime data", runtime));
  } catch (cause) {
    throw new AttestationError("malformed", "HCL runtime data is not JSON.", { cause });
  }
  const keys = fieldOf(document, "keys");
  const found = Array.isArray(keys)
    ? keys.filter((key: unknown) => fieldOf(key, "kid") === "HCLAkPub")
    : [];
  const [key] = found;
  if (found.length !== 1 || fieldOf(key, "kty") !== "RSA" || fieldOf(key, "e") !== "AQAB") {
    fail("does not hold exactly one attestation key (HCLAkPub)");
  }
  const modulus = fieldOf(key, "n");
  if (typeof modulus !== "string" || !/^[A-Za-z0-9_-]{340,1400}$/.test(modulus)) {
    fail("has an attestation key of another form");
  }
  const userData = fieldOf(document, "user-data");
  const hex = typeof userData === "string" && /^[0-9a-fA-F]{128}$/.test(userData);
  return { ak: rsaSpki(modulusOf(modulus)), userData: hex ? hexOf(userData) : undefined };
}

function modulusOf(text: string): Uint8Array {
  try {
    return fromBase64Url(text);
  } catch (cause) {
    throw new AttestationError("malformed", "The vTPM's key is not base64url.", { cause });
  }
}

function hexOf(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
}

function fieldOf(value: unknown, name: string): unknown {
  const object = typeof value === "object" && value !== null && Object.hasOwn(value, name);
  return object ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The HCL report ${reason}.`);
}
