/**
 * Compact JWS (RFC 7515) as it comes from an attestation service. Nothing in a header says which key to
 * trust: it only helps to find one among those that are pinned.
 */
import { fromBase64Url, fromUtf8, type SignatureAlgorithm, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";

/** Bytes of a token: evidence annotated with event logs makes them long. */
export const maxTokenBytes: number = 1024 * 1024;

export interface ParsedToken {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  /** DER of the certificates in the header, leaf first; they prove nothing by themselves. */
  readonly certificates: readonly Uint8Array[];
  /** Claims that nobody has vouched for yet. */
  readonly payload: Readonly<Record<string, unknown>>;
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
}

/** Header parameters that change nothing: keys and places of keys are looked at or left alone. */
const allowed: readonly string[] = ["alg", "typ", "kid", "jku", "jwk", "x5c", "x5t", "x5t#S256"];
const maxCertificates = 6;
/** JSON of hostile depth would cost stack. */
const maxDepth = 32;

/** @throws AttestationError `malformed`. */
export function parseToken(token: string): ParsedToken {
  if (token.length > maxTokenBytes) fail(`is over ${maxTokenBytes} bytes`);
  const parts = token.split(".");
  const [first = "", second = "", third = ""] = parts;
  if (parts.length !== 3) fail("does not have three parts");
  const header = objectOf("header", first);
  const strange = Object.keys(header).find((name) => !allowed.includes(name));
  // `crit`, `b64`, `zip`, `enc`: a token that asks to be read in another way.
  if (strange !== undefined) fail("has a header parameter that is not known");
  const { alg, kid, typ } = header;
  if (typeof alg !== "string") fail("names no algorithm");
  if (typ !== undefined && String(typ).toUpperCase() !== "JWT") fail("is of another type than JWT");
  return {
    algorithm: alg as string,
    keyId: typeof kid === "string" ? kid : undefined,
    certificates: certificatesOf(header),
    payload: objectOf("payload", second),
    signed: utf8(`${first}.${second}`),
    signature: bytesOf("signature", third),
  };
}

/** True for what has the form of a compact JWS; cheap, for detection. */
export function looksLikeToken(text: string): boolean {
  return /^eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(text);
}

/** `x5c` of the header, or of the key in it (as trustee has it). */
function certificatesOf(header: Readonly<Record<string, unknown>>): readonly Uint8Array[] {
  const { jwk } = header;
  const inKey = typeof jwk === "object" && jwk !== null && "x5c" in jwk ? jwk.x5c : undefined;
  const list = header["x5c"] ?? inKey;
  if (list === undefined) return [];
  if (!Array.isArray(list) || list.length > maxCertificates) fail("has no list of certificates");
  return (list as readonly unknown[]).map((entry) => {
    // RFC 7515 has base64 here; trustee writes base64url.
    const text = typeof entry === "string" ? entry : "";
    const url = text.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    return bytesOf("certificate", url);
  });
}

function objectOf(what: string, text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytesOf(what, text)));
  } catch (cause) {
    throw new AttestationError("malformed", `The token's ${what} is not JSON.`, { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    fail(`has a ${what} that is no object`);
  }
  requireDepth(what, value, 0);
  return value as Readonly<Record<string, unknown>>;
}

function requireDepth(what: string, value: unknown, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth >= maxDepth) fail(`has a ${what} that is nested too deeply`);
  for (const item of Object.values(value)) requireDepth(what, item, depth + 1);
}

function bytesOf(what: string, text: string): Uint8Array<ArrayBuffer> {
  try {
    return fromBase64Url(text);
  } catch (cause) {
    throw new AttestationError("malformed", `The token's ${what} is not base64url.`, { cause });
  }
}

function fail(reason: string): never {
  throw new AttestationError("malformed", `The token ${reason}.`);
}

/** A name that `Crypto.verify` knows. HMAC and `none` are not among them, whatever a header says. */
export function signatureAlgorithmOf(name: string): SignatureAlgorithm | undefined {
  const known: readonly SignatureAlgorithm[] = [
    ...(["ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"] as const),
  ];
  return known.find((algorithm) => algorithm === name);
}
