import { type ErrorClass, manualClock, VivariumError } from "@vivarium/core";
import { expect, test, vi } from "vitest";
import {
  type Channel,
  connectTls,
  defineCall,
  defineStream,
  handle,
  handleStream,
  listenTls,
} from "../src/index.ts";
import { channels, endpoint, pair } from "./party.ts";

const double = defineCall<number, number>("double");
const echo = defineStream("echo");

async function open(options: Parameters<typeof pair>[0] = {}) {
  const { client, server } = await pair(options);
  return { ...(await channels(client, server)), parties: { client, server } };
}

async function* from(...messages: Uint8Array[]) {
  yield* messages;
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for await (const message of stream) all.push(message);
  return all;
}

test("many concurrent calls in both directions find their own answers", async () => {
  const { client, server } = await open();
  const handler = handle(double, (n) => 2 * n);
  client.serve([handler]);
  server.serve([handler]);
  const numbers = Array.from({ length: 200 }, (_, i) => i);
  const answers = await Promise.all(
    numbers.flatMap((n) => [client.call(double, n), server.call(double, n)]),
  );
  expect(answers).toEqual(numbers.flatMap((n) => [2 * n, 2 * n]));
  await client.close();
  expect(await server.closed).toMatchObject({ code: "closed" });
});

test("a stream keeps the boundaries, the order and the bytes of its messages", async () => {
  const { client, server } = await open();
  server.serve([handleStream(echo, (incoming) => incoming)]);
  const messages = [0, 1, 4095, 70_000, 1024 * 1024, 5].map((size, i) =>
    new Uint8Array(size).fill(i),
  );
  const back = await collect(client.stream(echo, from(...messages)));
  expect(back.map(({ length }) => length)).toEqual(messages.map(({ length }) => length));
  expect(back.every((m, i) => m.every((byte) => byte === i))).toBe(true);
  expect(back.every((m) => m.constructor === Uint8Array)).toBe(true);
  await client.close();
});

test("a slow consumer bounds what its sender may have under way", async () => {
  const limits = { maxStreamMessageBytes: 16 * 1024, streamWindowBytes: 256 * 1024 };
  const { client, server } = await open({ client: { limits }, server: { limits } });
  const size = 16 * 1024;
  let produced = 0;
  server.serve([
    handleStream(echo, async function* () {
      for (let i = 0; i < 200; i++) {
        produced++;
        yield new Uint8Array(size);
      }
    }),
  ]);
  const stream = client.stream(echo, from());
  const first = await stream.next();
  expect(first.done).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(produced * size).toBeLessThanOrEqual(256 * 1024 + 3 * size);
  expect(produced).toBeGreaterThan(4);
  let rest = 1;
  for await (const _ of stream) rest++;
  expect(rest).toBe(200);
  await client.close();
});

test("cancelling a call tells the handler; leaving a stream tells it too", async () => {
  const { client, server } = await open();
  const seen: string[] = [];
  const stopped = vi.fn();
  server.serve([
    handle(double, async (_n, { signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      seen.push((signal.reason as { code: string }).code);
      return 0;
    }),
    handleStream(echo, async function* (_incoming, { signal }) {
      signal.addEventListener("abort", stopped);
      for (;;) yield new Uint8Array(10_000);
    }),
  ]);
  const abort = new AbortController();
  const call = client.call(double, 1, { signal: abort.signal });
  await new Promise((resolve) => setTimeout(resolve, 10));
  abort.abort();
  await expect(call).rejects.toMatchObject({ code: "aborted" });
  await vi.waitFor(() => expect(seen).toEqual(["aborted"]));
  for await (const _ of client.stream(echo, from())) break;
  await vi.waitFor(() => expect(stopped).toHaveBeenCalled());
  await expect(client.call(double, 1, { signal: abort.signal })).rejects.toMatchObject({
    code: "aborted",
  });
  await client.close();
});

test("a cancelled sender's stream never looks whole to the handler", async () => {
  const { client, server } = await open();
  const ended = vi.fn();
  const failed = vi.fn();
  server.serve([
    handleStream(echo, async function* (incoming) {
      try {
        for await (const _ of incoming) yield new Uint8Array(1);
        ended();
      } catch (error) {
        failed((error as { code: string }).code);
        throw error;
      }
    }),
  ]);
  async function* breaking() {
    yield new Uint8Array(3);
    await new Promise((resolve) => setTimeout(resolve, 10));
    throw new Error("disk");
  }
  await expect(collect(client.stream(echo, breaking()))).rejects.toThrow("disk");
  await vi.waitFor(() => expect(failed).toHaveBeenCalledWith("aborted"));
  expect(ended).not.toHaveBeenCalled();
  await client.close();
});

test("a deadline ends the call at both ends", async () => {
  const clock = manualClock(Date.parse("2026-03-01T00:00:00Z"));
  const { client, server } = await open({ clock });
  const reasons: unknown[] = [];
  server.serve([
    handle(double, async (_n, { signal, deadline }) => {
      reasons.push(deadline);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push((signal.reason as { code: string }).code);
      return 0;
    }),
  ]);
  const call = client.call(double, 1, { timeoutMs: 500 });
  const settled = expect(call).rejects.toMatchObject({ code: "timeout" });
  await vi.waitFor(() => expect(reasons).toHaveLength(1));
  clock.advance(500);
  await settled;
  await vi.waitFor(() => expect(reasons).toEqual([clock.now(), "timeout"]));
});

class ShopError extends VivariumError<"sold-out"> {
  readonly domain = "shop";
}
const shopErrors: ErrorClass = {
  domain: "shop",
  codes: ["sold-out"],
  create: (_code, message) => new ShopError("sold-out", message),
};

test("declared errors keep code and message; all others say nothing", async () => {
  const { client, server } = await open();
  const declared = defineCall<null, null>("declared", { errors: [shopErrors] });
  const internal = defineCall<null, null>("internal");
  const undeclared = defineCall<null, null>("undeclared");
  server.serve([
    handle(declared, () => {
      throw new ShopError("sold-out", "No more \u001b[31mapples.");
    }),
    handle(internal, () => {
      throw new Error("password is hunter2");
    }),
    handle(undeclared, () => {
      throw new ShopError("sold-out", "secret row 7");
    }),
  ]);
  await expect(client.call(declared, null)).rejects.toSatisfy(
    (error) =>
      error instanceof ShopError &&
      error.code === "sold-out" &&
      error.message === "No more  [31mapples.",
  );
  for (const method of [internal, undeclared]) {
    await expect(client.call(method, null)).rejects.toSatisfy(
      (error) => error.code === "remote" && !/hunter2|row 7/.test(error.message),
    );
  }
  await client.close();
});

test("calls that come before serve wait, up to the limit", async () => {
  const limits = { maxHeldCalls: 2 };
  const { client, server } = await open({ server: { limits } });
  const early = [client.call(double, 1), client.call(double, 2), client.call(double, 3)];
  await expect(early[2]).rejects.toMatchObject({ code: "limit-exceeded" });
  server.serve([handle(double, (n) => 2 * n)]);
  expect(await Promise.all(early.slice(0, 2))).toEqual([2, 4]);
  await client.close();
});

test("too many calls at once are turned away, and the channel lives", async () => {
  const limits = { maxConcurrentCalls: 2 };
  const { client, server } = await open({ server: { limits } });
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  server.serve([handle(double, async (n) => gate.then(() => 2 * n))]);
  const calls = [1, 2, 3].map((n) => client.call(double, n));
  await expect(calls[2]).rejects.toMatchObject({ code: "limit-exceeded" });
  release();
  expect(await Promise.all(calls.slice(0, 2))).toEqual([2, 4]);
  await client.close();
});

test("close drains: running calls finish, new ones are refused", async () => {
  const { client, server } = await open();
  let release = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const started = vi.fn();
  server.serve([
    handle(double, async (n) => {
      started();
      await gate;
      return 2 * n;
    }),
  ]);
  const running = client.call(double, 21);
  await vi.waitFor(() => expect(started).toHaveBeenCalled());
  const closing = server.close();
  await vi.waitFor(() => expect(client.open).toBe(false));
  await expect(client.call(double, 1)).rejects.toMatchObject({ code: "closed" });
  release();
  expect(await running).toBe(42);
  await closing;
  expect((await client.closed).code).toBe("closed");
});

test("a peer that falls silent is given up with a clear error", async () => {
  const clock = manualClock(Date.parse("2026-03-01T00:00:00Z"));
  const { client, server } = await open({ clock });
  await new Promise((resolve) => setTimeout(resolve, 5));
  // Both stop hearing each other: time passes, the event loop does not turn.
  clock.advance(31_000);
  for (const channel of [client, server]) {
    expect(await channel.closed).toMatchObject({
      code: "timeout",
      message: expect.stringContaining("silent"),
    });
  }
});

test("a peer is not given up for a pause of our own", async () => {
  const manual = manualClock(Date.parse("2026-03-01T00:00:00Z"));
  let paused = 0;
  const clock = { ...manual, monotonic: () => manual.monotonic() + paused };
  const { client, server } = await open({ clock });
  paused = 40_000;
  manual.advance(10_000);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect([client.open, server.open]).toEqual([true, true]);
  await client.close();
});

test("pings keep an idle channel open", async () => {
  const clock = manualClock(Date.parse("2026-03-01T00:00:00Z"));
  const { client, server } = await open({ clock });
  for (let i = 0; i < 12; i++) {
    clock.advance(10_000);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect([client.open, server.open]).toEqual([true, true]);
  await client.close();
});

test("keying material is equal at both ends and differs by context", async () => {
  const { client, server } = await open();
  const context = new Uint8Array([1]);
  expect(client.exportKey(context, 32)).toEqual(server.exportKey(context, 32));
  expect(client.exportKey(new Uint8Array([2]), 32)).not.toEqual(server.exportKey(context, 32));
  expect(client.id).toBe(server.id);
  await client.close();
});

test("the same over TLS", async () => {
  const { client, server, here } = await pair();
  const listener = await listenTls({
    host: "127.0.0.1",
    port: 0,
    key: server.tls,
    clock: here.clock,
  });
  const serving = (async () => {
    const opened: Channel[] = [];
    for await (const transport of listener.accept()) {
      const channel = await endpoint(server).open(transport);
      channel.serve([handle(double, (n) => 2 * n), handleStream(echo, (incoming) => incoming)]);
      opened.push(channel);
    }
    return opened;
  })();
  const transport = await connectTls({ host: "127.0.0.1", port: listener.port, key: client.tls });
  const channel = await endpoint(client).open(transport);
  expect(await channel.call(double, 4)).toBe(8);
  const messages = Array.from({ length: 40 }, (_, i) => new Uint8Array(300_000).fill(i));
  const back = await collect(channel.stream(echo, from(...messages)));
  expect(back.every((m, i) => m.length === 300_000 && m.every((byte) => byte === i))).toBe(true);
  const context = new Uint8Array([1]);
  const key = channel.exportKey(context, 32);
  await listener.close();
  const [opened] = await serving;
  expect(opened?.exportKey(context, 32)).toEqual(key);
  await channel.close();
  expect((await opened?.closed)?.code).toBe("closed");
});
