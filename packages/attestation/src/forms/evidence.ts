/**
 * Evidence in the forms that other software writes it, as {@link Evidence}. Nothing is verified
 * here: a wrong guess is refused by the verifier it leads to.
 */

import { coseSign1Length } from "../cose.ts";
import { decodeEvidence, type EvidenceLimits } from "../envelope.ts";
import { AttestationError } from "../errors.ts";
import type { Evidence, EvidenceType } from "../evidence.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import { base64Of, hexOf, jsonObjectOf, maxFormBytes, textOf } from "./encoding.ts";
import { fromJson } from "./json.ts";
import { type Recognised, recognised } from "./recognised.ts";

/** A file is not a peer: event logs of a mebibyte are welcome. */
const fileLimits: EvidenceLimits = { maxBytes: maxFormBytes, maxAttachments: 16 };

/**
 * @param type what it is, where the caller knows; else it is detected.
 * @throws AttestationError `malformed` for what is no evidence, `unknown-type` for what is none we know.
 */
export function readEvidenceForm(bytes: Uint8Array, type?: EvidenceType): Recognised {
  if (bytes.length > maxFormBytes) {
    throw new AttestationError("malformed", `Evidence is over ${maxFormBytes} bytes.`);
  }
  const found = detect(bytes, type, 0);
  if (found === undefined) {
    throw new AttestationError(
      "unknown-type",
      "The file is no evidence that is known here; name its type if it is raw.",
    );
  }
  if (type !== undefined && found.evidence.type !== type) {
    throw new AttestationError(
      "malformed",
      `The file is evidence of type ${found.evidence.type}, not ${type}.`,
    );
  }
  return found;
}

function detect(
  bytes: Uint8Array,
  type: EvidenceType | undefined,
  depth: number,
): Recognised | undefined {
  const text = textOf(bytes);
  if (text === undefined) {
    return binary(bytes) ?? envelope(bytes) ?? (type === undefined ? undefined : raw(type, bytes));
  }
  // JSON first: it may hold PEM.
  const object = jsonObjectOf(text);
  if (object !== undefined) return fromJson(object);
  if (isPem(bytes)) {
    const [certificate] = decodePem("Certificate", text);
    return certificate === undefined ? undefined : recognised("ra-tls", certificate);
  }
  // Text inside text inside text is nobody's evidence.
  if (depth > 0) return undefined;
  const decoded = hexOf(text) ?? base64Of(text);
  return decoded === undefined ? undefined : detect(decoded, type, depth + 1);
}

/** What people hand over raw: each has bytes that no other form has. */
function binary(bytes: Uint8Array): Recognised | undefined {
  const u32 = (at: number): number =>
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
    0;
  if (isQuote(bytes, 0)) return recognised(u32(4) === 0x81 ? "tdx" : "sgx", bytes);
  // Open Enclave: version 1, type 2 (remote), u64 size, then the quote.
  if (u32(0) === 1 && u32(4) === 2 && isQuote(bytes, 16) && u32(8) <= bytes.length - 16) {
    const quote = bytes.slice(16, 16 + u32(8));
    return recognised(quote[4] === 0x81 ? "tdx" : "sgx", quote);
  }
  if (bytes.length === 1184 && u32(0) >= 1 && u32(0) <= 16) return recognised("snp", bytes);
  if (bytes.length === 2548 || bytes.length === 4096) return recognised("csv", bytes);
  // CBOR tag 399 (CCA), and COSE_Sign1 with or without tag 18 (Nitro).
  if (bytes[0] === 0xd9 && bytes[1] === 0x01 && bytes[2] === 0x8f) return recognised("cca", bytes);
  const sign1 = bytes[0] === 0xd2 ? 1 : 0;
  if (bytes[sign1] === 0x84 && bytes[sign1 + 1] === 0x44 && bytes[sign1 + 2] === 0xa1) {
    // ES384 in the protected header: ours are ES256 or EdDSA with a root beside it.
    if (bytes[sign1 + 3] === 0x01 && bytes[sign1 + 4] === 0x38) return nitro(bytes);
  }
  return undefined;
}

/** dstack keeps its own events after the document; they are not AWS's and count for nothing. */
function nitro(bytes: Uint8Array): Recognised {
  const end = coseSign1Length(bytes) ?? bytes.length;
  return end < bytes.length
    ? { ...recognised("nitro", bytes.slice(0, end)), form: "dstack, its own events dropped" }
    : recognised("nitro", bytes);
}

/** Header of a quote: version 3 to 5, ECDSA key type, SGX or TDX, Intel's QE vendor id. */
function isQuote(bytes: Uint8Array, at: number): boolean {
  const vendor = "939a7233f79c4ca9940a0db3957f0607";
  const id = [...bytes.subarray(at + 12, at + 28)].map((byte) =>
    byte.toString(16).padStart(2, "0"),
  );
  const version = bytes[at] ?? 0;
  return version >= 3 && version <= 5 && bytes[at + 1] === 0 && id.join("") === vendor;
}

function envelope(bytes: Uint8Array): Recognised | undefined {
  try {
    return { evidence: decodeEvidence(bytes, fileLimits), collateral: {}, form: "envelope" };
  } catch (error) {
    if (error instanceof AttestationError && error.code === "unknown-type") throw error;
    return undefined;
  }
}

function raw(type: EvidenceType, bytes: Uint8Array): Recognised {
  const evidence: Evidence = { type, bytes, attachments: {} };
  return { evidence, collateral: {}, form: "raw" };
}
