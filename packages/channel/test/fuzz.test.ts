/** Bytes of a hostile peer: the process lives, the channel closes, memory stays bounded. */
import { toHex } from "@vivarium/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameParser, frameTypes } from "../src/frames.ts";
import { decodeHello, encodeHello } from "../src/handshake/hello.ts";
import { memoryTransportPair, type Transport } from "../src/index.ts";
import { rateKey } from "../src/tls/rate.ts";
import { codeOf, endpoint, type Party, pair } from "./party.ts";
import { encodeFrame } from "./relay.ts";

const bytes = fc.uint8Array({ maxLength: 600 });
const anyFrame = fc
  .tuple(fc.integer({ min: 0, max: 40 }), fc.uint8Array({ maxLength: 80 }))
  .map(([type, body]) => encodeFrame(type, body));

async function against(server: Party, chunks: readonly Uint8Array[]): Promise<string> {
  const [a, b] = memoryTransportPair({ clientKey: server.tls.spki, serverKey: server.tls.spki });
  a.receive({ data() {}, end() {} });
  const opening = endpoint(server).open(b);
  for (const chunk of chunks) await a.send([chunk]).catch(() => undefined);
  await a.close();
  const [result] = await Promise.allSettled([opening]);
  return result === undefined ? "" : codeOf(result);
}

test("a handshake of random bytes or frames ends in a channel error", async () => {
  const { server } = await pair();
  const chunks = fc.array(fc.oneof(bytes, anyFrame), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(chunks, async (sent) => {
      expect(["protocol", "limit-exceeded", "connection-failed", "peer-refused"]).toContain(
        await against(server, sent),
      );
    }),
    { numRuns: 200 },
  );
  expect(server.sessions.size).toBe(0);
});

/** The transport itself of an accepted client: from here on it is the attacker's. */
async function accepted() {
  const { client, server } = await pair();
  const [a, b] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
  let hijack = false;
  const mine: Transport = {
    role: a.role,
    localKey: a.localKey,
    peerKey: a.peerKey,
    exportKey: (label, context, length) => a.exportKey(label, context, length),
    send: async (parts) => (hijack ? undefined : await a.send(parts)),
    receive: (consumer) =>
      a.receive({
        data: (chunk) => (hijack ? undefined : consumer.data(chunk)),
        end: (error) => consumer.end(error),
      }),
    close: () => a.close(),
    destroy: (error) => a.destroy(error),
  };
  const [, channel] = await Promise.all([endpoint(client).open(mine), endpoint(server).open(b)]);
  hijack = true;
  return { wire: a, channel };
}

test("random frames of an attested peer close its channel or are answered, never more", async () => {
  const channelFrame = fc
    .tuple(
      fc.constantFrom(...Object.values(frameTypes), 0, 99, 255),
      fc.oneof(
        fc.uint8Array({ maxLength: 64 }),
        fc
          .tuple(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 32 }))
          .map(([id, rest]) => new Uint8Array([0, 0, 0, id, ...rest])),
      ),
    )
    .map(([type, body]) => encodeFrame(type, body));
  await fc.assert(
    fc.asyncProperty(fc.array(channelFrame, { minLength: 1, maxLength: 12 }), async (frames) => {
      const { wire, channel } = await accepted();
      for (const frame of frames) await wire.send([frame]).catch(() => undefined);
      await wire.close();
      expect([
        "protocol",
        "limit-exceeded",
        "closed",
        "connection-failed",
        "peer-refused",
      ]).toContain((await channel.closed).code);
    }),
    { numRuns: 60 },
  );
});

test("data beyond the window closes the channel", async () => {
  const { wire, channel } = await accepted();
  const { encodeOpening } = await import("../src/calls/wire.ts");
  const opening = encodeOpening({ kind: "stream", method: "x", timeoutMs: 0, value: null });
  await wire.send([encodeFrame(frameTypes.open, new Uint8Array([0, 0, 0, 1, ...opening]))]);
  const body = new Uint8Array(4 + 1024 * 1024);
  body[3] = 1;
  void (async () => {
    for (let i = 0; i < 8; i++) await wire.send([encodeFrame(frameTypes.data, body)]);
  })().catch(() => undefined);
  expect(await channel.closed).toMatchObject({ code: "limit-exceeded" });
});

test("a parser gives the same frames however the bytes are cut", () => {
  const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 255 }), bytes), { maxLength: 8 });
  fc.assert(
    fc.property(
      frames,
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
      (sent, cuts) => {
        const parts = sent.map(([type, body]) => encodeFrame(type, body));
        const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
        let at = 0;
        for (const part of parts) {
          whole.set(part, at);
          at += part.length;
        }
        const parser = new FrameParser();
        const got: [number, Uint8Array][] = [];
        for (let offset = 0, i = 0; offset < whole.length; i++) {
          const size = cuts[i % cuts.length] as number;
          parser.push(
            whole.subarray(offset, offset + size),
            () => 1000,
            (type, body) => {
              got.push([type, new Uint8Array(body)]);
              return true;
            },
          );
          offset += size;
        }
        expect(got).toEqual(sent.map(([type, body]) => [type, new Uint8Array(body)]));
      },
    ),
  );
});

test("a Hello is what it was, or it is refused", async () => {
  const { client } = await pair();
  const hello = encodeHello({
    version: 1,
    mode: "mutual",
    role: "receiver",
    nonce: new Uint8Array(32),
    clock: 1_772_366_400_000,
    accepts: ["simulated"],
    statement: client.statement,
  });
  expect(toHex(encodeHello(decodeHello(hello)))).toBe(toHex(hello));
  // The second byte is the version, the one thing that another version also has.
  for (const version of [0, 2, 99]) {
    expect(() => decodeHello(new Uint8Array(hello).fill(version, 1, 2))).toThrow(/version/);
  }
  // The same number in a longer form: other bytes under the hash, the same Hello to a reader.
  const longer = new Uint8Array([hello[0] as number, 0xcc, ...hello.subarray(1)]);
  expect(() => decodeHello(longer)).toThrow(/canonical/);
  fc.assert(
    fc.property(fc.nat(hello.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const other = new Uint8Array(hello);
      other[at] = (other[at] as number) ^ change;
      let decoded: ReturnType<typeof decodeHello> | undefined;
      try {
        decoded = decodeHello(other);
      } catch {
        return;
      }
      expect(toHex(encodeHello(decoded))).toBe(toHex(other));
    }),
  );
});

test("addresses of one host count as one", () => {
  expect(rateKey("::ffff:192.0.2.7")).toBe("192.0.2.7");
  expect(rateKey("2001:db8:1:2:3::1")).toBe(rateKey("2001:0db8:0001:0002:ffff:1:2:3"));
  expect(rateKey("2001:db8::1")).not.toBe(rateKey("2001:db8:1::1"));
  expect(rateKey("::1")).toBe(rateKey("0:0:0:0:0:0:0:1"));
});
