/**
 * Collateral in the files people have: bundles, and our names of entries out of PEM, DER, AMD's and Hygon's binary
 * certificates, QuoteCollateralV3 JSON, whole cases, trust anchors of CCA. Several files add up.
 */
import { concat, fromHex, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Collateral } from "../evidence.ts";
import { parseTpmPublic } from "../tpm/structures.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import { collateralBundleOf } from "./bundle.ts";
import { fieldOf, hexOf, isObject, jsonObjectOf, maxFormBytes, textOf } from "./encoding.ts";

/** Sizes of binary certificates: AMD CA (2048 and 4096 bits) or Hygon CA, CEK/PEK/…, Hygon HSK with CEK. */
const binaryCertificates: readonly number[] = [832, 1600, 2084, 2916];

/** Fields of QuoteCollateralV3, by which its JSON is known. */
const dcapFields = ["tcb_info", "qe_identity", "pck_crl", "root_ca_crl"] as const;

/**
 * Entries by name: `dcap`, `certificates`, `crl`, `trust-anchors`, `ak`.
 * @throws AttestationError `malformed` for what is no collateral known here.
 */
export function readCollateralForm(bytes: Uint8Array): Collateral {
  if (bytes.length > maxFormBytes) {
    throw new AttestationError("malformed", `Collateral is over ${maxFormBytes} bytes.`);
  }
  const text = textOf(bytes);
  if (text === undefined) return binary(bytes);
  // JSON first: it may hold PEM.
  const document = jsonObjectOf(text);
  if (document !== undefined) {
    const bundle = collateralBundleOf(document);
    if (bundle !== undefined) return bundle;
    const inner = fieldOf(document, "collateral");
    const dcap = isObject(inner) ? inner : document;
    if (dcapFields.every((name) => Object.hasOwn(dcap, name))) {
      // The signed bodies are strings inside: the JSON around them may be written anew.
      return { dcap: utf8(JSON.stringify(dcap)) };
    }
    return { "trust-anchors": utf8(text) };
  }
  if (isPem(bytes)) return pem(text);
  if (text.startsWith("[")) return { "trust-anchors": utf8(text) };
  const decoded = hexOf(text);
  if (decoded !== undefined) return binary(decoded);
  throw unknown();
}

/**
 * Entries of several files: certificates are put together, keys of TPMs are numbered (`ak`, `ak-2`, …),
 * anything else may be given once.
 */
export function mergeCollateral(parts: readonly Collateral[]): Collateral {
  const merged: Record<string, Uint8Array> = {};
  let keys = 0;
  for (const [entry, bytes] of parts.flatMap((part) => Object.entries(part))) {
    const name = entry === "ak" && ++keys > 1 ? `ak-${keys}` : entry;
    const before = Object.hasOwn(merged, name) ? merged[name] : undefined;
    if (before !== undefined && name !== "certificates") {
      throw new AttestationError("malformed", `Two of the files hold collateral "${name}".`);
    }
    merged[name] = before === undefined ? bytes : concat(before, bytes);
  }
  return merged;
}

function binary(bytes: Uint8Array): Collateral {
  if (binaryCertificates.includes(bytes.length)) return { certificates: bytes };
  if (isTpmPublic(bytes)) return { ak: bytes };
  if (bytes[0] !== 0x30) throw unknown();
  return isCrl(bytes) ? { crl: bytes } : { certificates: certificateText(bytes) };
}

/** TPMT_PUBLIC of an attestation key. */
function isTpmPublic(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0 || bytes.length > 1024) return false;
  try {
    parseTpmPublic(bytes);
    return true;
  } catch {
    return false;
  }
}

/** PEM throughout, so that entries of several files can be put together. */
function pem(text: string): Collateral {
  if (text.includes("-----BEGIN X509 CRL-----")) {
    const [crl] = decodePem("CRL", text, "X509 CRL");
    return crl === undefined ? {} : { crl };
  }
  if (text.includes("-----BEGIN PUBLIC KEY-----")) {
    const [key] = decodePem("Public key", text, "PUBLIC KEY");
    return key === undefined ? {} : { ak: key, "trust-anchors": utf8(`${text}\n`) };
  }
  return { certificates: utf8(`${text}\n`) };
}

function certificateText(der: Uint8Array): Uint8Array<ArrayBuffer> {
  let binaryText = "";
  for (const byte of der) binaryText += String.fromCharCode(byte);
  const lines = btoa(binaryText).replace(/.{64}/g, "$&\n").trimEnd();
  return utf8(`-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`);
}

/** A CRL's tbs begins with INTEGER 1 and an algorithm, a certificate's with `[0]`. */
function isCrl(der: Uint8Array): boolean {
  const version = fromHex("020101");
  for (let at = 4; at < 14; at++) {
    if (der[at] === 0xa0) return false;
    if (version.every((byte, i) => der[at + i] === byte) && der[at + 3] === 0x30) return true;
  }
  return false;
}

function unknown(): AttestationError {
  return new AttestationError("malformed", "The file is no collateral that is known here.");
}
