/**
 * Policy: who may be a peer and what must be proven. Typed and declarative; every security field is
 * required and unknown fields are refused, so that a forgotten line can never mean "do not check".
 */
import type { Binding, EvidenceType, Isolation, TcbStatus } from "./evidence.ts";

export interface Policy {
  readonly version: 1;
  /** For people: appears in results and messages. */
  readonly name: string;
  /** What each role must prove, by the role's name in the workload (`receiver`, `sender`, …). */
  readonly roles: Readonly<Record<string, RolePolicy>>;
}

export interface RolePolicy {
  /** Fingerprints (`sha256:…` of the SubjectPublicKeyInfo) of the parties that may act as it. */
  readonly identities: readonly string[];
  /** Acceptable records; evidence must satisfy all of one of them. */
  readonly accept: readonly PolicyRecord[];
}

/** One acceptable state of a worker. Its values are valid together only. */
export interface PolicyRecord {
  readonly type: EvidenceType;
  readonly isolation: Isolation;
  readonly binding: Binding;
  /** Trust anchor, `sha256:…`: which development root, for simulated evidence. */
  readonly root?: string;
  /** Allowed values (lower-case hex, full length) by measurement name. */
  readonly measurements: Readonly<Record<string, readonly string[]>>;
  readonly minimumSvn: Readonly<Record<string, number>>;
  readonly tcb: readonly TcbStatus[];
  /** Relaxations that are acceptable, by name. Absent: none, the strict default. */
  readonly allow?: readonly string[];
  /** Switches of the platform that must be as stated. Absent: the strict default alone. */
  readonly require?: Readonly<Record<string, boolean>>;
  /** Debug evidence is never acceptable; the field is there so that readers see it. */
  readonly debug: false;
  /** How long a result lives before the peer must attest again, 10 to 86,400 seconds. */
  readonly maxAgeSeconds: number;
}
