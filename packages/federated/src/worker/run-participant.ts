/** The whole run of a participant's trust domain: read the data, serve the rounds, come back if cut off. */
import { readFile } from "node:fs/promises";
import { AttestationResult, checkPolicy, verifyDelegation } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { type Channel, createSessionRegistry, dialTls } from "@vivarium/channel";
import { fromUtf8 } from "@vivarium/core";
import type { TrustDomain } from "@vivarium/workers";
import { FederatedError } from "../errors.ts";
import { trainerOf } from "../learn/model.ts";
import { sealedMemory, volatileMemory } from "../memory.ts";
import { participate } from "../participant.ts";
import { endpointOf, stateOpener } from "./common.ts";
import type { FederatedWorkerConfig } from "./config.ts";
import {
  asEncodable,
  type FederatedWorkerEvent,
  type ParticipantSummary,
  peerRecord,
  refusal,
} from "./events.ts";

/** @throws FederatedError, ChannelError, SealError. */
export async function runParticipant(
  domain: TrustDomain,
  config: FederatedWorkerConfig,
): Promise<ParticipantSummary> {
  const { plan, connect, data, state, cohort, timeoutMs } = config;
  checkPolicy(domain.policy, everyVerifier());
  if (connect === undefined || data === undefined || cohort === undefined) {
    throw new FederatedError("invalid-argument", "A participant needs connect, data and cohort.");
  }
  const { crypto, clock, random, signal } = domain;
  const rounds = new Set<number>();
  const emit = (event: FederatedWorkerEvent): void => {
    if (event.type === "committed") rounds.add(event.round);
    domain.emit(asEncodable(event));
  };
  // Data that cannot be read must not cost the others a round.
  const trainer = trainerOf(plan, await readData(data.path), data.testShare);
  const open = state === undefined ? undefined : await stateOpener(domain, state);
  const memory = open === undefined ? volatileMemory() : sealedMemory(open("participant"));
  const identity = (await verifyDelegation(crypto, domain.delegation(), clock.now())).fingerprint;
  const sessions = createSessionRegistry({ clock });
  const endpoint = endpointOf(domain, "participant", sessions, config);
  try {
    for (;;) {
      const channel = await reach(domain, { endpoint, connect, timeoutMs, emit });
      if (AttestationResult.is(channel.peer))
        emit({ type: "attested", peer: peerRecord(channel.peer) });
      try {
        await participate(channel, {
          ...{ plan, trainer, memory, cohort, identity, crypto, random, signal },
          onEvent: emit,
        });
        return { role: "participant", examples: trainer.examples, rounds: rounds.size };
      } catch (thrown) {
        // A connection that broke is tried again; what this side refuses is not.
        if (signal.aborted || !(thrown instanceof FederatedError) || thrown.code !== "protocol")
          throw thrown;
        emit({ type: "reconnecting", reason: thrown.message });
      } finally {
        await channel.close("the participant goes");
      }
    }
  } finally {
    sessions.close();
  }
}

async function reach(
  { tls, clock, signal }: TrustDomain,
  options: {
    readonly endpoint: Parameters<typeof dialTls>[0]["endpoint"];
    readonly connect: NonNullable<FederatedWorkerConfig["connect"]>;
    readonly timeoutMs: number;
    readonly emit: (event: FederatedWorkerEvent) => void;
  },
): Promise<Channel> {
  const { endpoint, connect, timeoutMs, emit } = options;
  const ending = new AbortController();
  const cancelTimer = clock.after(timeoutMs, () => ending.abort());
  const address = `${connect.host}:${connect.port}`;
  try {
    return await dialTls({
      ...{ ...connect, key: tls, endpoint, clock },
      signal: AbortSignal.any([signal, ending.signal]),
      onWaiting: () => emit({ type: "waiting", how: "connect", address }),
    });
  } catch (thrown) {
    if (ending.signal.aborted && !signal.aborted) {
      const seconds = Math.round(timeoutMs / 1000);
      throw new FederatedError(
        "timeout",
        `No acceptable aggregator at ${address} within ${seconds} s.`,
      );
    }
    if (!signal.aborted) emit(refusal(thrown));
    throw thrown;
  } finally {
    cancelTimer();
  }
}

async function readData(path: string): Promise<string> {
  try {
    return fromUtf8(new Uint8Array(await readFile(path)));
  } catch (cause) {
    throw new FederatedError("bad-data", `The data ${path} cannot be read as UTF-8 text.`, {
      cause,
    });
  }
}
