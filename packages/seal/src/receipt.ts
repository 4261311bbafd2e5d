/**
 * Signed receipts: what a run did, for people who were not there. A receipt carries its whole chain
 * (identity → delegation → worker key → receipt key), so that verifying it offline needs only the
 * fingerprint of the party, compared by voice if need be.
 *
 * It proves that this party's worker *said* so, at a time its own clock gave. It does not carry the
 * evidence, only digests of it, and holds no plaintext: inputs appear as salted commitments.
 */
import { type AttestationResult, type Delegation, verifyDelegation } from "@vivarium/attestation";
import {
  type Crypto,
  type DecodeLimits,
  type Encodable,
  equalBytes,
  labels,
  lengthPrefixed,
  type Signer,
  type SigningAlgorithm,
} from "@vivarium/core";
import {
  bytesOf,
  decodeCanonical,
  encodeCanonical,
  fieldsOf,
  integerOf,
  textOf,
} from "./canonical.ts";
import { SealError } from "./errors.ts";

const receiptLimits: DecodeLimits = {
  maxBytes: 1024 * 1024,
  maxDepth: 12,
  maxArrayLength: 4096,
  maxMapLength: 256,
  maxStringBytes: 65_536,
  maxBinaryBytes: 1024 * 1024,
  maxValues: 20_000,
};

/** Parties whose evidence one receipt may name. */
const maxParties = 64;

/** A party as a verifier saw it: digests of its evidence, statement and of the policy applied. */
export interface ReceiptParty {
  readonly role: string;
  /** Fingerprint of its identity. */
  readonly identity: string;
  readonly tee: string;
  /** `simulated` here means that no hardware vouched for anything. */
  readonly isolation: string;
  readonly binding: string;
  /** Digests, lower-case hex. */
  readonly evidence: string;
  readonly statement: string;
  readonly policy: string;
}

export interface ReceiptContent {
  /** What the receipt is of: `psi/run`, … */
  readonly kind: string;
  /** Milliseconds since the epoch, by the clock of the signer; inside the delegation's lifetime. */
  readonly issuedAt: number;
  /** Figures and settings of the run. No plaintext of anyone's data. */
  readonly body: Encodable;
  /** Salted commitments by name, 32 bytes each; see {@link commit}. */
  readonly commitments: Readonly<Record<string, Uint8Array>>;
  readonly parties: readonly ReceiptParty[];
}

/** A receipt whose signature and chain have been verified. */
export interface Receipt extends ReceiptContent {
  readonly issuer: {
    /** Fingerprint of the identity that stands behind it. */
    readonly identity: string;
    /** Code digest and workload that the identity delegated to. */
    readonly code: Uint8Array;
    readonly workload: string;
  };
}

/** Party of a receipt from the result of a verifier. */
export function receiptParty(result: AttestationResult): ReceiptParty {
  return {
    role: result.role,
    identity: result.identity,
    tee: result.tee,
    isolation: result.isolation,
    binding: result.binding,
    evidence: result.evidenceDigest,
    statement: result.statementDigest,
    policy: result.policyDigest,
  };
}

/**
 * SHA-256 over the salt and the value. Without the salt whoever guesses the value (a short list, a
 * known count) could confirm the guess from the receipt.
 * @param salt 32 random bytes, kept by whoever may open the commitment.
 */
export async function commit(
  crypto: Crypto,
  value: Uint8Array,
  salt: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  if (salt.length !== 32) throw new SealError("invalid-argument", "A salt has 32 bytes.");
  return crypto.digest("SHA-256", lengthPrefixed(labels.commitment, salt, value));
}

/** The worker key vouches for a receipt key of its process. Goes into {@link signReceipt}. */
export function endorseReceiptKey(
  worker: Signer,
  receiptKey: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  return worker.sign(lengthPrefixed(labels.receiptKey, receiptKey));
}

/**
 * @param signer the delegated worker key, or a receipt key that it endorsed.
 * @param delegation current delegation of the party, from `createDelegation`.
 * @param endorsement from {@link endorseReceiptKey}; not needed if the worker key itself signs.
 * @throws SealError `malformed` or `limit-exceeded` for content that could not be read back.
 */
export async function signReceipt(
  content: ReceiptContent,
  signer: Signer,
  delegation: Uint8Array,
  endorsement: Uint8Array = new Uint8Array(0),
): Promise<Uint8Array<ArrayBuffer>> {
  const { kind, issuedAt, body, commitments, parties } = content;
  const payload = encodeCanonical({
    v: 1,
    kind,
    issuedAt,
    body,
    commitments,
    parties: parties.map((party) => ({ ...party })),
  });
  readContent(payload);
  const key = signer.publicKey;
  const signature = await signer.sign(signedBytes(payload, delegation));
  return encodeCanonical({ payload, key, delegation, endorsement, signature });
}

/** The delegation is signed too: the same key under another delegation is another statement. */
function signedBytes(payload: Uint8Array, delegation: Uint8Array): Uint8Array {
  return lengthPrefixed(labels.receipt, delegation, payload);
}

export interface VerifyReceiptOptions {
  readonly crypto: Crypto;
  /** Fingerprints of the parties whose receipts count, or `any` to learn who signed. */
  readonly identities: readonly string[] | "any";
}

/**
 * Offline: no clock, no network. The delegation is held against the time inside the receipt.
 * @throws SealError `malformed`, `limit-exceeded` or `not-genuine`.
 */
export async function verifyReceipt(
  bytes: Uint8Array,
  options: VerifyReceiptOptions,
): Promise<Receipt> {
  const { crypto, identities } = options;
  const value = decodeCanonical("A receipt", bytes, receiptLimits);
  const names = ["payload", "key", "delegation", "endorsement", "signature"] as const;
  const fields = fieldsOf("A receipt", value, names);
  const payload = bytesOf("Payload of the receipt", fields.payload, 1, receiptLimits.maxBytes);
  const key = bytesOf("Key of the receipt", fields.key, 32, 128);
  const delegationBytes = bytesOf("Delegation of the receipt", fields.delegation, 1, 4096);
  const endorsement = bytesOf("Endorsement of the receipt", fields.endorsement, 0, 96);
  const signature = bytesOf("Signature of the receipt", fields.signature, 64, 96);
  const content = readContent(payload);

  let delegation: Delegation & { readonly fingerprint: string };
  try {
    delegation = await verifyDelegation(crypto, delegationBytes, content.issuedAt);
  } catch (cause) {
    throw new SealError(
      "not-genuine",
      `The receipt's delegation does not hold at the time it was issued: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (equalBytes(delegation.worker, key)) {
    if (endorsement.length !== 0) throw notGenuine("has an endorsement that it does not need");
  } else {
    const statement = lengthPrefixed(labels.receiptKey, key);
    if (!(await verified(crypto, delegation.worker, endorsement, statement))) {
      throw notGenuine("is signed by a key that the worker has not endorsed");
    }
  }
  if (!(await verified(crypto, key, signature, signedBytes(payload, delegationBytes)))) {
    throw notGenuine("was altered: its signature does not verify");
  }
  if (identities !== "any" && !identities.includes(delegation.fingerprint)) {
    throw notGenuine(`is of ${delegation.fingerprint}, which is none of the expected parties`);
  }
  const { code, workload } = delegation;
  return { ...content, issuer: { identity: delegation.fingerprint, code, workload } };
}

const notGenuine = (why: string): SealError => new SealError("not-genuine", `The receipt ${why}.`);

async function verified(
  crypto: Crypto,
  key: Uint8Array,
  signature: Uint8Array,
  data: Uint8Array,
): Promise<boolean> {
  // The algorithm follows from the key (SPKI lengths), never from what a receipt says of itself.
  const algorithms: Readonly<Record<number, SigningAlgorithm>> = {
    44: "EdDSA",
    91: "ES256",
    120: "ES384",
  };
  const algorithm = algorithms[key.length];
  return algorithm !== undefined && (await crypto.verify(algorithm, key, signature, data)) === true;
}

const partyFields = [
  "role",
  "identity",
  "tee",
  "isolation",
  "binding",
  "evidence",
  "statement",
  "policy",
] as const;

function readContent(payload: Uint8Array): ReceiptContent {
  const value = decodeCanonical("Payload of the receipt", payload, receiptLimits);
  const names = ["v", "kind", "issuedAt", "body", "commitments", "parties"] as const;
  const fields = fieldsOf("Payload of the receipt", value, names);
  integerOf("Version of the receipt", fields.v, 1, 1);
  const map = fields.commitments;
  if (typeof map !== "object" || map === null || Array.isArray(map) || map instanceof Uint8Array) {
    throw new SealError("malformed", "Commitments of the receipt must be a map.");
  }
  if (!Array.isArray(fields.parties) || fields.parties.length > maxParties) {
    throw new SealError(
      "malformed",
      `Parties of the receipt must be a list of at most ${maxParties}.`,
    );
  }
  const commitments = Object.entries(map as { readonly [name: string]: Encodable }).map(
    ([name, item]): [string, Uint8Array] => [name, bytesOf(`Commitment "${name}"`, item, 32)],
  );
  return {
    kind: textOf("Kind of the receipt", fields.kind, 64),
    issuedAt: integerOf("Time of the receipt", fields.issuedAt, 0, Number.MAX_SAFE_INTEGER),
    body: fields.body,
    commitments: Object.fromEntries(commitments),
    parties: (fields.parties as readonly Encodable[]).map(readParty),
  };
}

function readParty(value: Encodable): ReceiptParty {
  const fields = fieldsOf("Party of the receipt", value, partyFields);
  const text = (name: (typeof partyFields)[number]): string =>
    textOf(`"${name}" of a party`, fields[name], 128);
  return {
    role: text("role"),
    identity: text("identity"),
    tee: text("tee"),
    isolation: text("isolation"),
    binding: text("binding"),
    evidence: text("evidence"),
    statement: text("statement"),
    policy: text("policy"),
  };
}
