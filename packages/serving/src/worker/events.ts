/** What the trust domain tells its launcher. Plain data: no input, no output, no key. */
import { ChannelError } from "@vivarium/channel";
import { type Encodable, VivariumError } from "@vivarium/core";

export interface ModelRecord {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly sealed: boolean;
}

export type ServingWorkerEvent =
  | { readonly type: "ready"; readonly address: string; readonly rest: string | null }
  | { readonly type: "loaded"; readonly model: ModelRecord }
  | { readonly type: "unloaded"; readonly model: ModelRecord }
  | {
      readonly type: "broken";
      readonly name: string;
      readonly version: number;
      readonly reason: string;
    }
  | { readonly type: "client"; readonly channel: string; readonly attested: boolean }
  | { readonly type: "refused"; readonly code: string; readonly message: string };

export interface ServingSummary {
  readonly requests: number;
  readonly failures: number;
}

export function refusal(thrown: unknown): ServingWorkerEvent {
  const error = thrown instanceof VivariumError ? thrown : undefined;
  const failed = (thrown instanceof ChannelError ? thrown.findings : []).filter(({ ok }) => !ok);
  return {
    type: "refused",
    code: error?.code ?? "failed",
    message: [error?.message ?? "The handshake failed.", ...failed.map(({ rule }) => rule)].join(
      " ",
    ),
  };
}

/** Interfaces have no index signature; every field of these is encodable. */
export function asEncodable(value: ServingWorkerEvent | ServingSummary): Encodable {
  return value as unknown as Encodable;
}
