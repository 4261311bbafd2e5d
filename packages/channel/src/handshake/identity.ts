/**
 * Identity: the party's long-term key has delegated to the worker's key, and that key signs the
 * binding. Checked before evidence is produced. Without it, an attacker's own genuine trust domain
 * with the same code could stand in for the named party (diversion).
 */
import { keyAlgorithm, type Policy, type Statement, verifyDelegation } from "@vivarium/attestation";
import {
  type Crypto,
  decode,
  encode,
  equalBytes,
  labels,
  lengthPrefixed,
  type Signer,
  toHex,
} from "@vivarium/core";
import { ChannelError, refusal } from "../errors.ts";

/** The keys a worker speaks for its party with. */
export interface ChannelIdentity {
  /** The delegation in force; it is renewed in-band, for the same key. */
  readonly delegation: () => Uint8Array;
  /** The worker's key. */
  readonly signer: Signer;
}

/** Who the peer is, proven. */
export interface ProvenIdentity {
  /** `sha256:…` of the party's long-term key. */
  readonly fingerprint: string;
  /** End of the delegation, milliseconds since the epoch. */
  readonly notAfter: number;
}

const limits = {
  maxBytes: 16 * 1024,
  maxDepth: 1,
  maxArrayLength: 2,
  maxMapLength: 0,
  maxStringBytes: 0,
  maxBinaryBytes: 8 * 1024,
  maxValues: 3,
};

/** `[delegation, signature over (label, role, binding)]` */
export async function proveIdentity(
  identity: ChannelIdentity,
  role: string,
  binding: Uint8Array,
): Promise<Uint8Array> {
  const signature = await identity.signer.sign(signedBytes(role, binding));
  return encode([identity.delegation(), signature]);
}

function signedBytes(role: string, binding: Uint8Array): Uint8Array {
  return lengthPrefixed(labels.identity, role, binding);
}

type VerifiedDelegation = Awaited<ReturnType<typeof verifyDelegation>>;

/**
 * Delegations whose signature has been verified, by their exact bytes: a worker presents the same
 * one for hours. Validity in time is looked at each time; everything else is compared by the caller.
 */
export class DelegationCache {
  readonly #known = new Map<string, VerifiedDelegation>();

  /** @throws AttestationError as `verifyDelegation` does. */
  async verify(crypto: Crypto, bytes: Uint8Array, now: number): Promise<VerifiedDelegation> {
    const name = toHex(bytes);
    const known = this.#known.get(name);
    if (known !== undefined && known.notBefore <= now && now < known.notAfter) return known;
    this.#known.delete(name);
    const verified = await verifyDelegation(crypto, bytes, now);
    // Only verified ones are kept, the newest at the end: rubbish of strangers pushes nothing out.
    this.#known.set(name, verified);
    const oldest = this.#known.keys().next().value;
    if (this.#known.size > maxCachedDelegations && oldest !== undefined) this.#known.delete(oldest);
    return verified;
  }
}

const maxCachedDelegations = 256;

export interface IdentityExpectation {
  readonly delegations: DelegationCache;
  readonly crypto: Crypto;
  readonly policy: Policy;
  /** The peer's role in the workload. */
  readonly role: string;
  readonly workload: string;
  readonly statement: Statement;
  readonly binding: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** @throws ChannelError `refused` with the rule that failed, or `protocol`. */
export async function verifyIdentity(
  bytes: Uint8Array,
  expected: IdentityExpectation,
): Promise<ProvenIdentity> {
  const { crypto, policy, role, statement } = expected;
  const fields = decode(bytes, limits);
  const [delegationBytes, signature] = Array.isArray(fields) ? fields : [];
  if (!(delegationBytes instanceof Uint8Array) || !(signature instanceof Uint8Array)) {
    throw new ChannelError("protocol", "The peer's identity is not a delegation and a signature.");
  }
  const delegation = await expected.delegations
    .verify(crypto, delegationBytes, expected.now)
    .catch((cause: unknown) => {
      throw refusal("identity.delegation", "a valid delegation", "none", cause);
    });
  if (delegation.workload !== expected.workload) {
    throw refusal("identity.workload", expected.workload, delegation.workload);
  }
  if (!equalBytes(delegation.worker, statement.keys.signing)) {
    throw refusal("identity.worker", "the signing key of the statement", "another key");
  }
  if (!equalBytes(delegation.code, statement.code)) {
    throw refusal("identity.code", "the code digest of the statement", "another digest");
  }
  const allowed = Object.hasOwn(policy.roles, role) ? policy.roles[role] : undefined;
  if (allowed?.identities.includes(delegation.fingerprint) !== true) {
    throw refusal(
      "identity.party",
      `a party the policy names for role ${role}`,
      delegation.fingerprint,
    );
  }
  const algorithm = keyAlgorithm(delegation.worker);
  const signed = signedBytes(role, expected.binding);
  if (!(await crypto.verify(algorithm, delegation.worker, signature, signed))) {
    throw refusal("identity.signature", "a signature over this session's binding", "another");
  }
  return { fingerprint: delegation.fingerprint, notAfter: delegation.notAfter };
}
