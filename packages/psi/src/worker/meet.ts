/** How the two trust domains find each other: either may start first. */
import {
  type Channel,
  ChannelError,
  dialTls,
  type Endpoint,
  listenTls,
  type TlsIdentity,
  type TlsListener,
} from "@vivarium/channel";
import { type Clock, type Log, throwIfAborted, VivariumError } from "@vivarium/core";
import { PsiError } from "../errors.ts";
import type { HostPort } from "./config.ts";
import { findingRecords, type PsiWorkerEvent } from "./events.ts";

export interface MeetOptions {
  readonly endpoint: Endpoint;
  readonly tls: TlsIdentity;
  readonly listen?: HostPort;
  readonly connect?: HostPort;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly emit: (event: PsiWorkerEvent) => void;
}

/** @throws PsiError `timeout` if no acceptable peer comes in time; ChannelError of a refusal. */
export async function meetPeer(options: MeetOptions): Promise<Channel> {
  const ending = new AbortController();
  const cancelTimer = options.clock.after(options.timeoutMs, () => {
    const seconds = Math.round(options.timeoutMs / 1000);
    ending.abort(new PsiError("timeout", `No acceptable peer within ${seconds} s.`));
  });
  const signal = AbortSignal.any([options.signal, ending.signal]);
  try {
    return await (options.listen === undefined
      ? dial(options, options.connect as HostPort, signal)
      : answer(options, options.listen, signal));
  } catch (thrown) {
    if (ending.signal.aborted && !options.signal.aborted) throw ending.signal.reason;
    throw thrown;
  } finally {
    cancelTimer();
  }
}

/**
 * Takes the first peer that both verdicts accept. Handshakes run side by side, so that neither a slow
 * peer nor one that is turned away keeps the right one out.
 */
async function answer(options: MeetOptions, at: HostPort, signal: AbortSignal): Promise<Channel> {
  const { tls, clock, log, endpoint, emit } = options;
  throwIfAborted(signal);
  await using listener = await listenTls({ ...at, key: tls, clock, log });
  emit({ type: "waiting", how: "listen", address: `${listener.address}:${listener.port}` });
  return await firstAccepted(listener, endpoint, emit, signal);
}

async function firstAccepted(
  listener: TlsListener,
  endpoint: Endpoint,
  emit: MeetOptions["emit"],
  signal: AbortSignal,
): Promise<Channel> {
  const decided = new AbortController();
  const both = AbortSignal.any([signal, decided.signal]);
  let resolve: (channel: Channel) => void = () => undefined;
  let reject: (error: unknown) => void = () => undefined;
  const found = new Promise<Channel>((onFound, onFailed) => {
    resolve = onFound;
    reject = onFailed;
  });
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  void (async () => {
    let taken = false;
    for await (const transport of listener.accept()) {
      endpoint.open(transport, { signal: both }).then(
        async (channel) => {
          if (taken) return await channel.close("another peer came first");
          taken = true;
          resolve(channel);
          return undefined;
        },
        (error: unknown) => {
          if (!both.aborted) emit(refusal(error));
        },
      );
    }
  })().catch((error: unknown) => reject(error));
  try {
    return await found;
  } finally {
    signal.removeEventListener("abort", onAbort);
    decided.abort();
  }
}

/** Tries until somebody listens. A peer that answers and is refused is not asked again. */
async function dial(options: MeetOptions, to: HostPort, signal: AbortSignal): Promise<Channel> {
  const { tls, clock, endpoint, emit } = options;
  try {
    return await dialTls({
      ...{ ...to, key: tls, endpoint, clock, signal },
      onWaiting: () => emit({ type: "waiting", how: "connect", address: `${to.host}:${to.port}` }),
    });
  } catch (thrown) {
    if (!signal.aborted) emit(refusal(thrown));
    throw thrown;
  }
}

function refusal(thrown: unknown): PsiWorkerEvent {
  const error = thrown instanceof VivariumError ? thrown : undefined;
  return {
    type: "refused",
    code: error?.code ?? "failed",
    message: error?.message ?? "The handshake failed.",
    findings: thrown instanceof ChannelError ? findingRecords(thrown.findings) : [],
  };
}
