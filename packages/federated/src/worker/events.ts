/** What the trust domain tells its launcher while it runs. Plain data: no example, no parameter, no key. */
import type { AttestationResult, Finding } from "@vivarium/attestation";
import { ChannelError } from "@vivarium/channel";
import { type Encodable, VivariumError } from "@vivarium/core";
import type { AggregatorEvent } from "../aggregator.ts";
import type { RoundMetrics } from "../journal.ts";
import type { ParticipantEvent } from "../participant.ts";

export interface FindingRecord {
  readonly rule: string;
  readonly expected: string;
  readonly actual: string;
  readonly ok: boolean;
}

export interface PeerRecord {
  readonly role: string;
  readonly identity: string;
  /** `simulated` means that no hardware vouches for anything. */
  readonly tee: string;
  readonly isolation: string;
  readonly binding: string;
  readonly code: string;
}

export type FederatedWorkerEvent =
  | AggregatorEvent
  | ParticipantEvent
  /** Listening, or trying to reach the aggregator. */
  | { readonly type: "waiting"; readonly how: "listen" | "connect"; readonly address: string }
  | {
      readonly type: "refused";
      readonly code: string;
      readonly message: string;
      readonly findings: readonly FindingRecord[];
    }
  | { readonly type: "attested"; readonly peer: PeerRecord }
  /** A participant was cut off and tries again. */
  | { readonly type: "reconnecting"; readonly reason: string };

/** What an aggregator's main returns. */
export interface AggregatorSummary {
  readonly role: "aggregator";
  readonly run: string;
  readonly rounds: number;
  readonly parameters: number;
  readonly best: { readonly round: number; readonly loss: number } | null;
  readonly history: readonly RoundMetrics[];
  readonly quarantined: Readonly<Record<string, string>>;
  readonly stoppedEarly: boolean;
  readonly output: string | null;
}

/** What a participant's main returns. */
export interface ParticipantSummary {
  readonly role: "participant";
  readonly examples: number;
  /** Rounds that this participant's update was committed in. */
  readonly rounds: number;
}

export function peerRecord(peer: AttestationResult): PeerRecord {
  const { role, identity, tee, isolation, binding, measurements } = peer;
  return { role, identity, tee, isolation, binding, code: measurements["code"] ?? "unknown" };
}

export function refusal(thrown: unknown): FederatedWorkerEvent {
  const error = thrown instanceof VivariumError ? thrown : undefined;
  return {
    type: "refused",
    code: error?.code ?? "failed",
    message: error?.message ?? "The handshake failed.",
    findings: thrown instanceof ChannelError ? thrown.findings.map(findingRecord) : [],
  };
}

function findingRecord({ rule, ok, expected, actual }: Finding): FindingRecord {
  return { rule, ok, expected, actual };
}

/** Interfaces have no index signature; every field of these is encodable. */
export function asEncodable(
  value: FederatedWorkerEvent | AggregatorSummary | ParticipantSummary,
): Encodable {
  return value as unknown as Encodable;
}
