/**
 * The statement: what a trust domain says of itself in its Hello. Evidence is bound to its digest,
 * and the verifier checks that the measured state covers it.
 */
import { type Crypto, labels, lengthPrefixed } from "@vivarium/core";
import { type CborValue, decodeCbor, encodeCbor, fieldsOf, requireBytes } from "./cbor.ts";

/** SHA-256 digests, 32 bytes each, and public keys of one process. */
export interface Statement {
  /** Of the runtime's executable. */
  readonly runtime: Uint8Array;
  /** Of the runtime's flags. */
  readonly flags: Uint8Array;
  /** Of the code manifest: main, pool and native libraries. */
  readonly code: Uint8Array;
  /** Of the policy this process holds its peers to. */
  readonly policy: Uint8Array;
  /** Of the workload's configuration. */
  readonly config: Uint8Array;
  readonly keys: StatementKeys;
}

/** Public keys generated in the process itself; the private halves never leave it. */
export interface StatementKeys {
  /** TLS certificate, SubjectPublicKeyInfo DER, P-256. */
  readonly tls: Uint8Array;
  /** Worker key that the party's identity delegates to, SubjectPublicKeyInfo DER. */
  readonly signing: Uint8Array;
  /** HPKE recipient key, X25519, 32 bytes (RFC 9180 DHKEM(X25519, HKDF-SHA256)). */
  readonly hpke: Uint8Array;
  /** Receipt key, SubjectPublicKeyInfo DER. */
  readonly receipt: Uint8Array;
}

/** The digests of a statement, by name: what evidence may measure. */
export const statementDigests = ["runtime", "flags", "code", "policy", "config"] as const;
export type StatementDigest = (typeof statementDigests)[number];

const keyNames = ["tls", "signing", "hpke", "receipt"] as const;

/** SPKI DER of Ed25519 takes 44 bytes, of P-256 91, of P-384 120. */
const maxKeyBytes = 128;
const maxStatementBytes = 1024;

/** @throws AttestationError `malformed` if a digest or key does not have its length. */
export function encodeStatement(statement: Statement): Uint8Array<ArrayBuffer> {
  requireLengths(statement);
  const keys = new Map<string, CborValue>(keyNames.map((name) => [name, statement.keys[name]]));
  const fields = new Map<string, CborValue>(
    statementDigests.map((name) => [name, statement[name]]),
  ).set("keys", keys);
  return encodeCbor(fields);
}

/** @throws AttestationError `malformed`. */
function requireLengths({ keys, ...digests }: Statement): void {
  for (const name of statementDigests) requireDigest(name, digests[name]);
  for (const name of keyNames) requireKey(name, keys[name]);
}

function requireDigest(name: StatementDigest, value: CborValue | undefined): Uint8Array {
  return requireBytes(`Digest "${name}" of the statement`, value, 32, 32);
}

function requireKey(name: keyof StatementKeys, value: CborValue | undefined): Uint8Array {
  return requireBytes(
    `Key "${name}" of the statement`,
    value,
    32,
    name === "hpke" ? 32 : maxKeyBytes,
  );
}

/** @throws AttestationError `malformed`. */
export function decodeStatement(bytes: Uint8Array): Statement {
  const document = decodeCbor("Statement", bytes, {
    maxBytes: maxStatementBytes,
    maxDepth: 2,
    maxValues: 24,
  });
  const fields = fieldsOf("Statement", document, [...statementDigests, "keys"] as const);
  const keys = fieldsOf("Keys of the statement", fields.keys, keyNames);
  // Copies: what the document's buffer becomes later changes nothing here.
  const digest = (name: StatementDigest): Uint8Array =>
    new Uint8Array(requireDigest(name, fields[name]));
  const key = (name: keyof StatementKeys): Uint8Array =>
    new Uint8Array(requireKey(name, keys[name]));
  return {
    runtime: digest("runtime"),
    flags: digest("flags"),
    code: digest("code"),
    policy: digest("policy"),
    config: digest("config"),
    keys: { tls: key("tls"), signing: key("signing"), hpke: key("hpke"), receipt: key("receipt") },
  };
}

/** What the binding and every result name a statement by. */
export async function statementDigest(
  crypto: Crypto,
  statement: Statement,
): Promise<Uint8Array<ArrayBuffer>> {
  return await crypto.digest(
    "SHA-256",
    lengthPrefixed(labels.statement, encodeStatement(statement)),
  );
}
