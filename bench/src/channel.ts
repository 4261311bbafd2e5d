/**
 * The attested channel beside bare `node:tls`, in one process and interleaved, so that both meet
 * the same machine: bytes of one stream, handshakes, calls. Ratios are of neighbouring runs.
 */
import { once } from "node:events";
import { defineCall, defineStream, handle, handleStream } from "@vivarium/channel";
import { type Benchmark, figure, measure } from "./benchmark.ts";
import {
  attestedEnds,
  bareEnds,
  type ChannelPair,
  type Ends,
  type SocketPair,
} from "./channel-ends.ts";

const runs = 7;
const messageBytes = 64 * 1024;
const messages = 6_000;
/** Enough that both sides run as code that is long since compiled. */
const handshakes = 400;
const calls = 5_000;
const concurrency = 32;

const sink = defineStream("sink");
const increment = defineCall<number, number>("increment");
const message = new Uint8Array(messageBytes);

function* source(): Generator<Uint8Array> {
  for (let i = 0; i < messages; i++) yield message;
}

async function streamThroughChannel({ client, server }: ChannelPair): Promise<void> {
  let received = 0;
  const remove = server.serve([
    handleStream(sink, async function* (incoming) {
      for await (const { length } of incoming) received += length;
      yield new Uint8Array(1);
    }),
  ]);
  for await (const _ of client.stream(sink, source())) {
    // The one message says that everything has arrived.
  }
  remove();
  if (received !== messages * messageBytes) throw new Error(`${received} bytes arrived.`);
}

async function streamThroughTls({ client, server }: SocketPair): Promise<void> {
  let received = 0;
  const done = new Promise<void>((resolve) => {
    const count = (chunk: Uint8Array): void => {
      received += chunk.length;
      if (received < messages * messageBytes) return;
      server.off("data", count);
      resolve();
    };
    server.on("data", count);
  });
  for (const item of source()) if (!client.write(item)) await once(client, "drain");
  await done;
}

/** `concurrency` at a time, as a server meets them. */
async function inParallel(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}

/** Handshakes per second. */
async function handshakeRate<Pair>(
  ends: Ends<Pair>,
  end: (pair: Pair) => Promise<void>,
): Promise<number> {
  const work = (): Promise<void> => inParallel(handshakes, async () => end(await ends.open()));
  return handshakes / (await secondsOf(work));
}

/** Both figures, the second measured first in every other round: what comes later meets more heat and garbage. */
async function alternately(
  round: number,
  first: () => Promise<number>,
  second: () => Promise<number>,
): Promise<readonly [number, number]> {
  if (round % 2 === 0) return [await first(), await second()];
  const later = await second();
  return [await first(), later];
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  return (await measure(work)).wallSeconds;
}

const gigabytes = (messages * messageBytes) / 1e9;

export const benchmark: Benchmark = {
  name: "channel",
  async run() {
    const attested = await attestedEnds();
    const bare = await bareEnds();
    const channel = await attested.open();
    const socket = await bare.open();
    channel.server.serve([handle(increment, (n) => n + 1)]);
    const samples = {
      stream: [] as number[],
      tlsStream: [] as number[],
      streamRatio: [] as number[],
      handshake: [] as number[],
      tlsHandshake: [] as number[],
      handshakeRatio: [] as number[],
      call: [] as number[],
    };
    // Pairs first, so that no run pays for the garbage of the streams. Rounds alternate which of the
    // two goes first; the first round warms up and does not count.
    for (let round = 0; round <= runs; round++) {
      const attest = (): Promise<number> =>
        handshakeRate(attested, async ({ client, server }) => {
          await client.close();
          await server.closed;
        });
      const connect = (): Promise<number> =>
        handshakeRate(bare, async ({ client, server }) => {
          server.resume();
          client.resume();
          client.end();
          await once(client, "close");
        });
      const [handshake, tlsHandshake] = await alternately(round, attest, connect);
      if (round === 0) continue;
      samples.handshake.push(handshake);
      samples.tlsHandshake.push(tlsHandshake);
      samples.handshakeRatio.push(handshake / tlsHandshake);
    }
    for (let round = 0; round <= runs; round++) {
      const [stream, tlsStream] = await alternately(
        round,
        async () => gigabytes / (await secondsOf(() => streamThroughChannel(channel))),
        async () => gigabytes / (await secondsOf(() => streamThroughTls(socket))),
      );
      const call =
        calls /
        (await secondsOf(() =>
          inParallel(calls, async () => void (await channel.client.call(increment, 1))),
        ));
      if (round === 0) continue;
      samples.stream.push(stream);
      samples.tlsStream.push(tlsStream);
      samples.streamRatio.push(stream / tlsStream);
      samples.call.push(call);
    }
    await channel.client.close();
    socket.client.destroy();
    await Promise.all([attested.close(), bare.close()]);
    return {
      engine: "node:tls (OpenSSL), P-256, simulated evidence",
      runs,
      figures: [
        figure("channel.throughput_ratio_vs_tls", samples.streamRatio, "ratio"),
        figure("channel.handshake_ratio_vs_tls", samples.handshakeRatio, "ratio"),
        figure("channel.stream_throughput", samples.stream, "GB/s"),
        figure("channel.tls_throughput", samples.tlsStream, "GB/s"),
        figure("channel.handshakes", samples.handshake, "handshakes/s"),
        figure("channel.tls_handshakes", samples.tlsHandshake, "handshakes/s"),
        figure("channel.calls", samples.call, "calls/s"),
      ],
      notes: [
        `One stream of ${messages} messages of 64 KiB; bare TLS writes the same buffers. Both ends run in one process on one core, so a channel between two machines is faster.`,
        `Handshakes: ${concurrency} at a time, both sides attest and verify simulated evidence and close again. Bare TLS asks for both certificates and resumes nothing.`,
        "Ratios are medians of the ratios of neighbouring runs.",
      ],
    };
  },
};
