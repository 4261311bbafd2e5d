/**
 * Identities of parties, and how one delegates to the key of a worker: without the delegation an
 * attacker's own genuine trust domain could stand in for the named party.
 */
import { type Crypto, labels, lengthPrefixed, type Signer, toHex } from "@vivarium/core";
import {
  bytesOf,
  type CborValue,
  decodeCbor,
  encodeCbor,
  fieldsOf,
  integerOf,
  textOf,
} from "./cbor.ts";
import { AttestationError } from "./errors.ts";
import { keyAlgorithm } from "./keys.ts";

export { fingerprint } from "./keys.ts";

/** A worker key that may speak for a party, for one code and one workload, for at most a day. */
export interface Delegation {
  /** The party's long-term key, SubjectPublicKeyInfo DER. */
  readonly identity: Uint8Array;
  /** The worker's signing key, SubjectPublicKeyInfo DER. */
  readonly worker: Uint8Array;
  /** Code digest of the statement, 32 bytes. */
  readonly code: Uint8Array;
  /** Name of the workload: `psi`, `federated`, … */
  readonly workload: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export const maxDelegationMs: number = 24 * 60 * 60 * 1000;
/** How far a peer's clock may be ahead of ours. Never stretches the end of anything. */
export const maxClockSkewMs = 60_000;

const maxDelegationBytes = 1024;
const workloadName = /^[a-z][a-z0-9-]{0,31}$/;
const fieldNames = ["identity", "worker", "code", "workload", "notBefore", "notAfter"] as const;

/**
 * Signs a delegation with the party's long-term key.
 * @throws AttestationError `malformed` for a lifetime over 24 hours or a field without its form.
 */
export async function createDelegation(
  identity: Signer,
  delegation: Omit<Delegation, "identity">,
): Promise<Uint8Array<ArrayBuffer>> {
  const fields: Delegation = { ...delegation, identity: identity.publicKey };
  const payload = encodeCbor(
    new Map<string, CborValue>(fieldNames.map((name) => [name, fields[name]])),
  );
  readDelegation(payload);
  const signature = await identity.sign(lengthPrefixed(labels.delegation, payload));
  return encodeCbor(
    new Map<string, CborValue>([
      ["delegation", payload],
      ["signature", signature],
    ]),
  );
}

/**
 * Proves that the identity inside has delegated to the worker key inside. Whether that identity is
 * one we want, and that worker key the peer's, is for the caller to compare.
 * @param now milliseconds since the epoch.
 * @throws AttestationError `malformed`, `not-genuine` or `expired`.
 */
export async function verifyDelegation(
  crypto: Crypto,
  bytes: Uint8Array,
  now: number,
): Promise<Delegation & { readonly fingerprint: string }> {
  const limits = { maxBytes: maxDelegationBytes, maxDepth: 1, maxValues: 8 };
  const outer = decodeCbor("Delegation", bytes, limits);
  const envelope = fieldsOf("Delegation", outer, ["delegation", "signature"]);
  const payload = bytesOf("Payload of the delegation", envelope.delegation, 1, maxDelegationBytes);
  const signature = bytesOf("Signature of the delegation", envelope.signature, 64, 96);
  const delegation = readDelegation(payload);
  const genuine = await crypto.verify(
    keyAlgorithm(delegation.identity),
    delegation.identity,
    signature,
    lengthPrefixed(labels.delegation, payload),
  );
  if (genuine !== true) {
    throw new AttestationError("not-genuine", "The signature of the delegation does not verify.");
  }
  if (!(now < delegation.notAfter)) {
    throw new AttestationError("expired", "The delegation has expired; the peer must renew it.");
  }
  if (!(now >= delegation.notBefore - maxClockSkewMs)) {
    throw new AttestationError(
      "expired",
      "The delegation is not valid yet; compare the clocks of both machines.",
    );
  }
  const digest = await crypto.digest("SHA-256", delegation.identity);
  return { ...delegation, fingerprint: `sha256:${toHex(digest)}` };
}

function readDelegation(payload: Uint8Array): Delegation {
  const limits = { maxBytes: maxDelegationBytes, maxDepth: 1, maxValues: 16 };
  const fields = fieldsOf("Delegation", decodeCbor("Delegation", payload, limits), fieldNames);
  const delegation: Delegation = {
    identity: bytesOf("Identity of the delegation", fields.identity, 32, 128),
    worker: bytesOf("Worker key of the delegation", fields.worker, 32, 128),
    code: bytesOf("Code digest of the delegation", fields.code, 32, 32),
    workload: textOf("Workload of the delegation", fields.workload, workloadName),
    notBefore: integerOf("notBefore of the delegation", fields.notBefore, 0),
    notAfter: integerOf("notAfter of the delegation", fields.notAfter, 0),
  };
  keyAlgorithm(delegation.identity);
  const lifetime = delegation.notAfter - delegation.notBefore;
  if (lifetime <= 0 || lifetime > maxDelegationMs) {
    throw new AttestationError(
      "malformed",
      "A delegation lives longer than 0 and at most 24 hours.",
    );
  }
  return delegation;
}
