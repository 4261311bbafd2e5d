/**
 * Revocations: signed lists of identities, measurements and TCB states that are no longer good,
 * whatever a policy says. A list has a rising sequence number (an older one cannot be put back) and
 * a maximum age (withholding the newest one stops everything instead of going unnoticed).
 */
import { type Clock, type Crypto, labels, lengthPrefixed, type Signer } from "@vivarium/core";
import {
  arrayOf,
  bytesOf,
  type CborValue,
  decodeCbor,
  encodeCbor,
  fieldsOf,
  integerOf,
  textOf,
} from "./cbor.ts";
import { AttestationError } from "./errors.ts";
import {
  type EvidenceType,
  evidenceTypes,
  type Finding,
  type TcbStatus,
  tcbStatuses,
} from "./evidence.ts";
import { maxClockSkewMs } from "./identity.ts";
import { fingerprint, keyAlgorithm } from "./keys.ts";

/** What is held against the list. */
export interface RevocationSubject {
  /** Fingerprint of the party's identity. */
  readonly identity: string;
  /** Lower-case hex, by name. */
  readonly measurements: Readonly<Record<string, string>>;
  readonly tee: EvidenceType;
  readonly tcbStatus: TcbStatus;
}

export interface Revocations {
  /** The failed finding if the subject is revoked or the list too old; undefined if it is good. */
  check(subject: RevocationSubject): Finding | undefined;
  /** Called after the list has changed or gone stale; the returned function ends it. */
  onChange(listener: () => void): () => void;
}

/** {@link Revocations} fed by signed lists. */
export interface SignedRevocations extends Revocations {
  /** Sequence number of the list in force; keep it, to refuse older ones after a restart. */
  readonly sequence: number;
  /**
   * Takes a newer list.
   * @throws AttestationError `malformed`, `not-genuine` (also for another signer) or `expired`
   * (sequence not above the present one, or older than the maximum age). The old list stays.
   */
  update(list: Uint8Array): Promise<void>;
}

export interface RevocationList {
  /** From 1, rising. */
  readonly sequence: number;
  /** Milliseconds since the epoch. */
  readonly issuedAt: number;
  /** Fingerprints. */
  readonly identities: readonly string[];
  /** Measurements in lower-case hex, whatever their name. */
  readonly measurements: readonly string[];
  readonly tcb: readonly { readonly tee: EvidenceType; readonly status: TcbStatus }[];
}

export interface RevocationOptions {
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** Fingerprints of the keys of one authority: the present one and, in a rotation, the next. */
  readonly signers: readonly string[];
  /** A list older than this refuses everyone. */
  readonly maxAgeMs: number;
  /** Lists up to this number are refused: what {@link SignedRevocations.sequence} was before. */
  readonly minimumSequence?: number;
}

/** Bounds of a list: 10,000 entries of 128 hex digits. */
const limits = { maxBytes: 2 * 1024 * 1024, maxDepth: 3, maxValues: 64_000 };
const maxEntries = 10_000;

const fingerprintPattern = /^sha256:[0-9a-f]{64}$/;
const measurementPattern = /^[0-9a-f]{64,128}$/;

/** Signs a list. @throws AttestationError `malformed` for entries without their form. */
export async function signRevocationList(
  signer: Signer,
  list: RevocationList,
): Promise<Uint8Array<ArrayBuffer>> {
  const payload = encodeCbor(
    new Map<string, CborValue>([
      ["sequence", list.sequence],
      ["issuedAt", list.issuedAt],
      ["identities", list.identities],
      ["measurements", list.measurements],
      ["tcb", list.tcb.map(({ tee, status }) => [tee, status])],
    ]),
  );
  readList(payload);
  return encodeCbor(
    new Map<string, CborValue>([
      ["list", payload],
      ["signer", signer.publicKey],
      ["signature", await signer.sign(lengthPrefixed(labels.revocations, payload))],
    ]),
  );
}

/** Without a first {@link SignedRevocations.update} everything is refused. */
export function createRevocations(options: RevocationOptions): SignedRevocations {
  const { crypto, clock, signers, maxAgeMs } = options;
  if (signers.length === 0 || !signers.every((signer) => fingerprintPattern.test(signer))) {
    throw new AttestationError("malformed", "Revocation lists need fingerprints of their signers.");
  }
  if (!Number.isSafeInteger(maxAgeMs) || maxAgeMs <= 0) {
    throw new AttestationError("malformed", "maxAgeMs is a positive number of milliseconds.");
  }
  const listeners = new Set<() => void>();
  let sequence = options.minimumSequence ?? 0;
  let current: RevocationList | undefined;
  let cancelTimer = (): void => {};

  const isStale = (list: RevocationList): boolean => !(clock.now() < list.issuedAt + maxAgeMs);
  const announce = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const watchAge = (): void => {
    cancelTimer();
    if (current === undefined || isStale(current)) return;
    cancelTimer = clock.after(current.issuedAt + maxAgeMs - clock.now(), () => {
      if (current !== undefined && isStale(current)) announce();
      else watchAge();
    });
  };

  return {
    get sequence() {
      return sequence;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    check(subject) {
      if (current === undefined) return failed("a fresh list", "no list has been loaded");
      if (isStale(current)) {
        return failed(`a list of the last ${maxAgeMs / 1000} s`, `list ${sequence} is older`);
      }
      return revoked(current, subject);
    },
    async update(bytes) {
      const list = await verifyList(crypto, signers, bytes);
      // Checked after the last await: of two lists that arrive together the older one must lose.
      if (list.sequence <= sequence) {
        throw new AttestationError(
          "expired",
          `Revocation list ${list.sequence} is not newer than list ${sequence}.`,
        );
      }
      if (isStale(list)) {
        throw new AttestationError("expired", "The revocation list is older than its maximum age.");
      }
      if (list.issuedAt > clock.now() + maxClockSkewMs) {
        throw new AttestationError("expired", "The revocation list is from the future.");
      }
      current = list;
      sequence = list.sequence;
      watchAge();
      announce();
    },
  };
}

async function verifyList(
  crypto: Crypto,
  signers: readonly string[],
  bytes: Uint8Array,
): Promise<RevocationList> {
  const outer = decodeCbor("Revocation list", bytes, limits);
  const envelope = fieldsOf("Revocation list", outer, ["list", "signer", "signature"]);
  const payload = bytesOf("Revocation list", envelope.list, 1, limits.maxBytes);
  const signer = bytesOf("Signer of the revocation list", envelope.signer, 32, 128);
  const signature = bytesOf("Signature of the revocation list", envelope.signature, 64, 96);
  if (!signers.includes(await fingerprint(crypto, signer))) {
    throw new AttestationError("not-genuine", "The revocation list is not of a pinned signer.");
  }
  const data = lengthPrefixed(labels.revocations, payload);
  if ((await crypto.verify(keyAlgorithm(signer), signer, signature, data)) !== true) {
    throw new AttestationError("not-genuine", "The revocation list's signature does not verify.");
  }
  return readList(payload);
}

function readList(payload: Uint8Array): RevocationList {
  const names = ["sequence", "issuedAt", "identities", "measurements", "tcb"] as const;
  const document = decodeCbor("Revocation list", payload, limits);
  const fields = fieldsOf("Revocation list", document, names);
  const texts = (value: CborValue, pattern: RegExp): readonly string[] =>
    arrayOf("Entries", value, maxEntries).map((entry) => textOf("An entry", entry, pattern));
  return {
    sequence: integerOf("Sequence number", fields.sequence, 1),
    issuedAt: integerOf("issuedAt", fields.issuedAt, 0),
    identities: texts(fields.identities, fingerprintPattern),
    measurements: texts(fields.measurements, measurementPattern),
    tcb: arrayOf("TCB entries", fields.tcb, maxEntries).map(readTcb),
  };
}

function readTcb(entry: CborValue): RevocationList["tcb"][number] {
  const pair = arrayOf("A TCB entry", entry, 2);
  const tee = evidenceTypes.find((known) => known === pair[0]);
  const status = tcbStatuses.find((known) => known === pair[1]);
  if (tee === undefined || status === undefined) {
    throw new AttestationError("malformed", "A TCB entry is not a type of evidence and a state.");
  }
  return { tee, status };
}

function revoked(list: RevocationList, subject: RevocationSubject): Finding | undefined {
  if (list.identities.includes(subject.identity)) {
    return failed("an identity that is not revoked", subject.identity);
  }
  for (const [name, value] of Object.entries(subject.measurements)) {
    if (list.measurements.includes(value)) {
      return failed("measurements that are not revoked", `${name} ${value}`);
    }
  }
  if (list.tcb.some(({ tee, status }) => tee === subject.tee && status === subject.tcbStatus)) {
    return failed("a TCB state that is not revoked", `${subject.tee} ${subject.tcbStatus}`);
  }
  return undefined;
}

const failed = (expected: string, actual: string): Finding => ({
  rule: "revocation",
  ok: false,
  expected,
  actual,
});
