/**
 * The release gate: the only way in which a worker gets its end of a channel, a session key or a
 * task of a session. Each release takes an `AttestationResult`, never a boolean, and checks again,
 * at that moment, that it is genuine, unexpired, unrevoked and the one of this very channel.
 */
import type { MessagePort } from "node:worker_threads";
import { AttestationResult, type Revocations } from "@vivarium/attestation";
import type { Channel } from "@vivarium/channel";
import type { Clock } from "@vivarium/core";
import { bridge, type PortSource } from "./bridge.ts";
import { WorkersError } from "./errors.ts";
import type { Pool, RunOptions } from "./pool.ts";

export interface ReleaseGateOptions {
  readonly clock: Clock;
  /** Signed revocations in force. */
  readonly revocations?: Revocations;
}

/** @see createReleaseGate */
export interface ReleaseGate {
  /**
   * A worker's end of the channel: a port to transfer to a task, which opens it with `openPort`.
   * @throws AttestationError `not-a-result` or `expired`; WorkersError `release-refused`.
   */
  port(result: AttestationResult, channel: Channel, source: PortSource): MessagePort;
  /**
   * A key of this session, the same on both sides, from the channel's exporter.
   * @param context what it is for; another context gives an unrelated key.
   * @param length bytes, 16 to 1,024.
   */
  key(result: AttestationResult, channel: Channel, context: Uint8Array, length: number): Uint8Array;
  /** Runs a task of the pool on behalf of the peer of this channel. */
  task<Output = unknown>(
    result: AttestationResult,
    channel: Channel,
    pool: Pool,
    name: string,
    input: unknown,
    options?: RunOptions,
  ): Promise<Output>;
}

export function createReleaseGate(options: ReleaseGateOptions): ReleaseGate {
  const check = (result: unknown, channel: Channel): void => {
    AttestationResult.requireValid(result, options.clock);
    // A genuine result of another peer, or one that a later attestation has replaced.
    if (channel.peer !== result) {
      throw new WorkersError(
        "release-refused",
        "The attestation result is not the current one of this channel's peer.",
      );
    }
    const finding = options.revocations?.check({
      identity: result.identity,
      measurements: result.measurements,
      tee: result.tee,
      tcbStatus: result.tcb.status,
    });
    if (finding !== undefined) {
      throw new WorkersError(
        "release-refused",
        `The peer is revoked: ${finding.rule}, expected ${finding.expected}, found ${finding.actual}.`,
      );
    }
  };
  return {
    port(result, channel, source) {
      check(result, channel);
      return bridge(channel, source, () => check(channel.peer, channel));
    },
    key(result, channel, context, length) {
      check(result, channel);
      if (!Number.isSafeInteger(length) || length < 16 || length > 1_024) {
        throw new WorkersError("invalid-argument", "A session key has 16 to 1,024 bytes.");
      }
      return channel.exportKey(context, length);
    },
    async task(result, channel, pool, name, input, run) {
      check(result, channel);
      return pool.run(name, input, run);
    },
  };
}
