/** What the trust domain tells its launcher while it runs. Plain data, no item, no key. */
import type { AttestationResult, Finding } from "@vivarium/attestation";
import type { Encodable } from "@vivarium/core";
import type { PsiMode, PsiProtocol } from "../config.ts";
import type { PsiProgress } from "../progress.ts";
import type { PsiWorkerConfig } from "./config.ts";

export type PsiWorkerEvent =
  /** Listening for the peer at this port, or trying to reach it. */
  | { readonly type: "waiting"; readonly how: "listen" | "connect"; readonly address: string }
  /** A peer was turned away, and why. */
  | {
      readonly type: "refused";
      readonly code: string;
      readonly message: string;
      readonly findings: readonly FindingRecord[];
    }
  /** The connection was lost; with a checkpoint this side waits for the peer again. */
  | { readonly type: "interrupted"; readonly message: string }
  /** The peer has been accepted. */
  | { readonly type: "attested"; readonly peer: PeerSummary }
  | {
      readonly type: "progress";
      readonly phase: string;
      readonly done: number;
      readonly total: number | null;
      readonly rate: number;
      readonly etaMs: number | null;
      readonly bytesSent: number;
      readonly bytesReceived: number;
    };

export interface FindingRecord {
  readonly rule: string;
  readonly expected: string;
  readonly actual: string;
  readonly ok: boolean;
}

export interface PeerSummary {
  readonly role: string;
  readonly identity: string;
  /** `simulated` means that no hardware vouches for anything. */
  readonly tee: string;
  readonly isolation: string;
  readonly binding: string;
  readonly measurements: Readonly<Record<string, string>>;
  readonly expiresAt: number;
  readonly findings: readonly FindingRecord[];
}

/** What main returns: `Worker.result`. */
export interface PsiWorkerSummary {
  readonly role: "receiver" | "sender";
  /** `attested`: the sets were kept apart by the parties' TEEs alone. */
  readonly protocol: PsiProtocol;
  readonly mode: PsiMode;
  readonly resultTo: "receiver" | "both";
  /** Null where this side is not to know. */
  readonly matches: number | null;
  /** In mode `sum`, of the receiver: exact, in decimal text. */
  readonly statistics: {
    readonly column: string;
    readonly values: number;
    readonly sum: string;
    readonly mean: number;
    /** Of the values as a population. */
    readonly standardDeviation: number;
  } | null;
  /** Rows of the own table: all, those with a key, without, and with a malformed one. */
  readonly rows: number;
  readonly keys: number;
  readonly missing: number;
  readonly invalid: number;
  readonly items: number;
  readonly peerItems: number;
  /** Whether the run went on from a checkpoint. */
  readonly resumed: boolean;
  /** Null if no output was written. */
  readonly rowsWritten: number | null;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly timings: Readonly<Record<string, number>>;
  readonly engine: string;
  readonly peer: PeerSummary;
  /** Signed; `verifyReceipt` of `@vivarium/seal` reads it. */
  readonly receipt: Uint8Array;
  /** Salt of the receipt's commitment to the input. Private. */
  readonly inputSalt: Uint8Array;
}

export function peerSummary(peer: AttestationResult): PeerSummary {
  const { role, identity, tee, isolation, binding, measurements, expiresAt } = peer;
  return {
    ...{ role, identity, tee, isolation, binding, expiresAt },
    measurements: { ...measurements },
    findings: findingRecords(peer.findings),
  };
}

export function findingRecords(findings: readonly Finding[]): readonly FindingRecord[] {
  return findings.map(({ rule, ok, expected, actual }) => ({
    ...{ rule, ok, expected, actual },
  }));
}

export function progressEvent(progress: PsiProgress): PsiWorkerEvent {
  const { phase, done, rate, bytesSent, bytesReceived } = progress;
  return {
    ...{ type: "progress", phase, done, rate, bytesSent, bytesReceived },
    total: progress.total ?? null,
    etaMs: progress.etaMs ?? null,
  };
}

/** Interfaces have no index signature; every field of these is encodable. */
export function asEncodable(value: PsiWorkerConfig | PsiWorkerEvent | PsiWorkerSummary): Encodable {
  return value as unknown as Encodable;
}
