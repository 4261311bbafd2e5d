/** The TLS transport: what Node lets in by default and we do not. */
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect, createServer, type TLSSocket } from "node:tls";
import { manualClock, systemClock } from "@vivarium/core";
import { afterEach, expect, test } from "vitest";
import {
  connectTls,
  createTlsIdentity,
  type ListenerLimits,
  listenTls,
  type TlsListener,
} from "../src/index.ts";
import { AddressRate } from "../src/tls/rate.ts";
import { checkTls } from "../src/tls/socket.ts";
import { type KeyKind, selfSigned } from "./certificate.ts";
import type { LoggedEvent } from "./party.ts";

const host = "127.0.0.1";
const clock = systemClock();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function listening(limits: Partial<ListenerLimits> = {}) {
  const events: LoggedEvent[] = [];
  const key = await createTlsIdentity({ clock });
  const log = {
    event: (_level: string, event: string, fields = {}) => void events.push({ event, fields }),
  };
  const listener: TlsListener = await listenTls({ host, port: 0, key, clock, log, limits });
  closing.push(() => listener.close());
  return { listener, events, key };
}

/** A hostile client; resolves with the reason it was turned away for. */
async function turnedAway(options: ConnectionOptions): Promise<string> {
  const { listener, events } = await listening();
  const socket = connect({ host, port: listener.port, rejectUnauthorized: false, ...options });
  socket.on("error", () => {});
  socket.resume();
  await new Promise((resolve) => socket.on("close", resolve));
  await listener.close();
  expect((await listener.accept().next()).done).toBe(true);
  return String(events.find(({ event }) => event === "channel.connection-refused")?.fields.reason);
}

const good = selfSigned("P-256");
const ALPNProtocols = ["vivarium/1"];

test("a client without ALPN is refused", async () => {
  expect(await turnedAway({ ...good })).toMatch(/vivarium\/1/);
});

test("a client with another ALPN is refused", async () => {
  expect(await turnedAway({ ...good, ALPNProtocols: ["h2"] })).toBe("tls");
});

test("a client without a certificate is refused", async () => {
  expect(await turnedAway({ ALPNProtocols })).toMatch(/no certificate/);
});

for (const kind of ["rsa", "P-384", "ed25519"] satisfies KeyKind[]) {
  test(`a client with a key of type ${kind} is refused`, async () => {
    expect(await turnedAway({ ...selfSigned(kind), ALPNProtocols })).toMatch(/P-256/);
  });

  test(`a server with a key of type ${kind} is refused`, async () => {
    await expect(towards(selfSigned(kind))).rejects.toMatchObject({ code: "connection-failed" });
  });
}

test("TLS 1.2 is refused", async () => {
  expect(await turnedAway({ ...good, ALPNProtocols, maxVersion: "TLSv1.2" })).toBe("tls");
});

/** Connects to a server of the test's own. */
async function towards(certificate: { cert: string; key: string }, alpn = ALPNProtocols) {
  const server = createServer({
    ...certificate,
    ALPNProtocols: alpn,
    requestCert: true,
    rejectUnauthorized: false,
  });
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket) => socket.on("error", () => {}));
  server.listen(0, host);
  await once(server, "listening");
  closing.push(() => server.close());
  const { port } = server.address() as { port: number };
  const transport = await connectTls({ host, port, key: await createTlsIdentity({ clock }) });
  closing.push(() => transport.destroy());
  return transport;
}

test("a server without our ALPN is refused", async () => {
  await expect(towards(good, [])).rejects.toMatchObject({ code: "connection-failed" });
  expect((await towards(good)).peerKey).toEqual(good.spki);
});

test("a resumed session is refused, and ours cannot be resumed", async () => {
  const fake = {
    getProtocol: () => "TLSv1.3",
    alpnProtocol: "vivarium/1",
    isSessionReused: () => true,
    getPeerX509Certificate: () => new X509Certificate(good.cert),
  };
  expect(() => checkTls(fake as unknown as TLSSocket)).toThrow(/resumed/);
  expect(checkTls({ ...fake, isSessionReused: () => false } as unknown as TLSSocket)).toEqual(
    good.spki,
  );

  const { listener } = await listening();
  const incoming = listener.accept();
  const base = { ...good, host, port: listener.port, rejectUnauthorized: false, ALPNProtocols };
  const first = connect(base);
  let session: Buffer | undefined;
  first.on("session", (data) => {
    session = data;
  });
  first.on("error", () => {});
  const transport = (await incoming.next()).value;
  transport.receive({ data() {}, end() {} });
  await transport.send([new Uint8Array(1)]);
  first.resume();
  await new Promise((resolve) => setTimeout(resolve, 50));
  first.destroy();
  const second = connect({ ...base, ...(session ? { session } : {}) });
  second.on("error", () => {});
  await once(second, "secureConnect");
  expect(second.isSessionReused()).toBe(false);
  second.destroy();
});

test("PEM-in-DER: a certificate that carries another's PEM is taken for itself", async () => {
  const victim = selfSigned("P-256");
  const trick = selfSigned("P-256", Buffer.from(`\n${victim.cert}`));
  // The trap this is about: Node's parser prefers the PEM that it finds inside.
  expect(new X509Certificate(trick.der).publicKey.export({ format: "der", type: "spki" })).toEqual(
    Buffer.from(victim.spki),
  );
  expect((await towards(trick)).peerKey).toEqual(trick.spki);
  const { listener } = await listening();
  const socket = connect({
    ...trick,
    host,
    port: listener.port,
    rejectUnauthorized: false,
    ALPNProtocols,
  });
  socket.on("error", () => {});
  const { value } = await listener.accept().next();
  expect(value.peerKey).toEqual(trick.spki);
  socket.destroy();
});

test("both ends see each other's keys and one exporter; keys are fresh and P-256", async () => {
  const { listener, key } = await listening();
  const mine = await createTlsIdentity({ clock });
  const incoming = listener.accept().next();
  const client = await connectTls({ host, port: listener.port, key: mine });
  const server = (await incoming).value;
  expect(client.peerKey).toEqual(key.spki);
  expect(server.peerKey).toEqual(mine.spki);
  expect(key.spki).not.toEqual(mine.spki);
  const context = new Uint8Array([1]);
  expect(client.exportKey("EXPORTER-x", context, 32)).toEqual(
    server.exportKey("EXPORTER-x", context, 32),
  );
  expect(JSON.stringify(mine)).not.toMatch(/PRIVATE/);
  client.destroy();
});

test("the certificate library leaves no global behind", async () => {
  await createTlsIdentity({ clock });
  expect("getMetadata" in Reflect).toBe(false);
});

test("a client that never finishes the TLS handshake is dropped in time", async () => {
  const { listener, events } = await listening({ tlsHandshakeTimeoutMs: 50 });
  const socket = connectTcp({ host, port: listener.port });
  socket.on("error", () => {});
  socket.write(Uint8Array.of(0x16, 0x03, 0x01));
  await once(socket, "close");
  expect(events.map(({ fields }) => fields.reason)).toContain("tls-timeout");
});

test("TLS handshakes at the same time, and connections, are bounded", async () => {
  for (const limits of [{ maxTlsHandshakes: 1 }, { maxConnections: 1 }]) {
    const { listener, events } = await listening(limits);
    const first = connectTcp({ host, port: listener.port });
    await once(first, "connect");
    const second = connectTcp({ host, port: listener.port });
    for (const socket of [first, second]) socket.on("error", () => {});
    await once(second, "close");
    // Node reports a dropped socket once more, as a failed handshake.
    expect(events[0]?.fields.reason).toBe(
      "maxConnections" in limits ? "connections" : "tls-handshakes",
    );
    first.destroy();
  }
});

test("new connections of one address are bounded by rate, in bounded memory", async () => {
  const { listener, events } = await listening({ maxConnectionsPerMinute: 2 });
  const sockets = [1, 2, 3].map(() => connectTcp({ host, port: listener.port }));
  for (const socket of sockets) socket.on("error", () => {});
  await Promise.race(sockets.map((socket) => once(socket, "close")));
  expect(events[0]).toEqual({ event: "channel.connection-refused", fields: { reason: "rate" } });
  for (const socket of sockets) socket.destroy();

  const manual = manualClock(0);
  const rate = new AddressRate(manual, { maxConnectionsPerMinute: 60, maxAddresses: 3 });
  for (let i = 0; i < 60; i++) expect(rate.admit("192.0.2.1")).toBe(true);
  expect(rate.admit("192.0.2.1")).toBe(false);
  expect(rate.admit("192.0.2.2")).toBe(true);
  manual.advance(1_000);
  expect(rate.admit("192.0.2.1")).toBe(true);
  for (let i = 0; i < 10; i++) rate.admit(`198.51.100.${i}`);
  expect(rate.size).toBe(3);
});

test("connecting is cancelled, timed out and refused with codes", async () => {
  const key = await createTlsIdentity({ clock });
  const silent = await import("node:net").then(({ createServer: tcp }) => tcp(() => {}));
  silent.listen(0, host);
  await once(silent, "listening");
  closing.push(() => silent.close());
  const { port } = silent.address() as { port: number };
  await expect(connectTls({ host, port, key, timeoutMs: 30 })).rejects.toMatchObject({
    code: "timeout",
  });
  const abort = new AbortController();
  const connecting = connectTls({ host, port, key, signal: abort.signal });
  abort.abort();
  await expect(connecting).rejects.toMatchObject({ code: "aborted" });
  await expect(connectTls({ host, port: 1, key })).rejects.toMatchObject({
    code: "connection-failed",
  });
});
