/** Who is let in: genuine evidence is not enough, and nothing happens before both verdicts. */
import { createDelegation } from "@vivarium/attestation";
import { manualClock } from "@vivarium/core";
import { describe, expect, test, vi } from "vitest";
import {
  createEndpoint,
  defineCall,
  handle,
  memoryTransportPair,
  type SessionRegistry,
  type Transport,
  UnattestedPeer,
} from "../src/index.ts";
import {
  acquaint,
  admit,
  channels,
  codeOf,
  crypto,
  endpoint,
  meet,
  type Party,
  pair,
  party,
  rulesOf,
} from "./party.ts";

const noon = Date.parse("2026-03-01T12:00:00Z");

test("two parties that know each other open, and each sees the other's result", async () => {
  const { client, server } = await pair();
  const open = await channels(client, server);
  expect(open.client.peer).toMatchObject({
    identity: server.fingerprint,
    role: "sender",
    tee: "simulated",
    isolation: "simulated",
    binding: "session",
  });
  expect(open.server.peer).toMatchObject({ identity: client.fingerprint, role: "receiver" });
  expect([client.sessions.size, server.sessions.size]).toEqual([1, 1]);
  await open.client.close();
  await open.server.closed;
  expect([client.sessions.size, server.sessions.size]).toEqual([0, 0]);
});

describe("refused, with the rule in the local findings and a generic alert to the peer", () => {
  type Case = readonly [string, Parameters<typeof pair>[0], string];
  const cases: readonly Case[] = [
    ["debug evidence", { server: { debug: true } }, "debug"],
    ["code that the policy does not pin", { server: { code: "evil" } }, "measurement.code"],
    ["another role", { server: { role: "observer" } }, "hello.role"],
    ["a delegation for another workload", { server: { workload: "other" } }, "identity.workload"],
  ];
  for (const [name, options, rule] of cases) {
    test(name, async () => {
      const { client, server } = await pair(options);
      const outcome = await meet(client, server);
      expect(codeOf(outcome.client)).toBe("refused");
      expect(rulesOf(outcome.client)).toContain(rule);
      expect(codeOf(outcome.server)).toBe("peer-refused");
      expect(client.events).toContainEqual({
        event: "channel.finding",
        fields: expect.objectContaining({ rule }),
      });
      // The refused side learns nothing of the reason.
      expect(JSON.stringify(server.events)).not.toContain(rule);
    });
  }

  test("simulated evidence of a root that the policy does not name", async () => {
    const { client, server } = await pair({
      server: { root: await crypto.generateSigner("ES256") },
    });
    const outcome = await meet(client, server);
    expect(rulesOf(outcome.client)).toContain("root");
    expect(codeOf(outcome.server)).toBe("peer-refused");
  });

  test("a party the policy does not name, before any evidence is made for it", async () => {
    const { here, client } = await pair();
    const stranger = await party(here, { role: "sender", peerRole: "receiver" });
    acquaint(stranger, client);
    const known = await party(here, { role: "sender", peerRole: "receiver" });
    admit(client, [known.fingerprint]);
    const outcome = await meet(client, stranger);
    expect(rulesOf(outcome.client)).toEqual(["identity.party"]);
    expect(client.collected()).toBe(0);
  });

  test("diversion: an attacker's own genuine trust domain with the same code", async () => {
    const { here, client, server } = await pair();
    const attacker = await party(here, { role: "sender", peerRole: "receiver" });
    acquaint(attacker, client);
    admit(client, [server.fingerprint]);
    // Presents the victim's delegation, which is public, with its own keys and evidence.
    const identity = {
      delegation: server.options.identity.delegation,
      signer: attacker.worker,
    };
    const outcome = await meet(client, attacker, { server: endpoint(attacker, { identity }) });
    expect(rulesOf(outcome.client)).toEqual(["identity.worker"]);
  });

  test("genuine evidence and delegation with a signature of another key", async () => {
    const { client, server } = await pair();
    const signer = {
      ...(await crypto.generateSigner("ES256")),
      publicKey: server.worker.publicKey,
    };
    const identity = { delegation: server.options.identity.delegation, signer };
    const outcome = await meet(client, server, { server: endpoint(server, { identity }) });
    expect(rulesOf(outcome.client)).toEqual(["identity.signature"]);
  });

  test("a delegation for other code", async () => {
    const { client, server } = await pair();
    const now = server.options.clock.now();
    const other = await createDelegation(server.identity, {
      worker: server.worker.publicKey,
      code: new Uint8Array(32),
      workload: "psi",
      notBefore: now - 1000,
      notAfter: now + 60_000,
    });
    const identity = { delegation: () => other, signer: server.worker };
    const outcome = await meet(client, server, { server: endpoint(server, { identity }) });
    expect(rulesOf(outcome.client)).toEqual(["identity.code"]);
  });

  test("an expired delegation, also one that was valid and is known", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({
      clock,
      server: { delegationMs: 60_000 },
    });
    const ends = { client: endpoint(client), server: endpoint(server) };
    expect(codeOf((await meet(client, server, ends)).client)).toBe("open");
    clock.advance(61_000);
    const outcome = await meet(client, server, ends);
    expect(rulesOf(outcome.client)).toEqual(["identity.delegation"]);
  });

  test("a peer whose clock is more than a minute off, either way", async () => {
    for (const offset of [-61_000, 61_000]) {
      const { client, server } = await pair();
      const { clock } = server.options;
      const wrong = { ...clock, now: () => clock.now() + offset };
      const outcome = await meet(client, server, { server: endpoint(server, { clock: wrong }) });
      expect([...rulesOf(outcome.client), ...rulesOf(outcome.server)]).toContain("hello.clock");
    }
  });

  test("a peer in the other mode, whichever side it is", async () => {
    const { client, server } = await pair();
    const { mode: _mode, ...rest } = client.options;
    const weaker = createEndpoint({ ...rest, mode: "client-verifies-server", side: "client" });
    const outcome = await meet(client, server, { client: weaker });
    expect([codeOf(outcome.client), codeOf(outcome.server)]).not.toContain("open");
    expect([...rulesOf(outcome.client), ...rulesOf(outcome.server)]).toContain("hello.mode");
  });

  test("an appraiser whose acceptance is not a verifier's result", async () => {
    const { client, server } = await pair();
    const real = (await channels(client, server)).client.peer;
    const lookAlike = { ...real };
    for (const accepted of [
      { accepted: true, result: lookAlike, findings: [] },
      { accepted: "yes", result: real, findings: [] },
    ]) {
      const appraiser = { appraise: async () => accepted as never };
      const outcome = await meet(client, server, { client: endpoint(client, { appraiser }) });
      expect(codeOf(outcome.client)).toBe("refused");
      expect(codeOf(outcome.server)).not.toBe("open");
    }
  });

  test("evidence of a type that the peer does not accept is not even made", async () => {
    const { client, server } = await pair();
    const attester = { ...server.attester, type: "tdx" as const };
    const outcome = await meet(client, server, { server: endpoint(server, { attester }) });
    expect(rulesOf(outcome.server)).toEqual(["hello.accepts"]);
    expect(server.collected()).toBe(0);
  });
});

describe("our own mistakes are found before a byte is sent", () => {
  test("a statement with another key than the transport's", async () => {
    const { client, server } = await pair();
    const [transport] = memoryTransportPair({
      clientKey: server.tls.spki,
      serverKey: client.tls.spki,
    });
    await expect(endpoint(client).open(transport)).rejects.toMatchObject({
      code: "refused",
      findings: [expect.objectContaining({ rule: "own.tls-key" })],
    });
  });

  test("a policy without rules for the peer's role", async () => {
    const { client, server } = await pair();
    const outcome = await meet(client, server, {
      client: endpoint(client, { peerRole: "nobody" }),
    });
    expect(rulesOf(outcome.client)).toEqual(["own.policy"]);
  });
});

describe("mode client-verifies-server", () => {
  async function open() {
    const { client, server } = await pair();
    const { mode: _c, statement: _s, identity: _i, attester: _a, ...verifying } = client.options;
    const { mode: _m, policy: _p, appraiser: _q, ...attesting } = server.options;
    const ends = {
      client: createEndpoint({ ...verifying, mode: "client-verifies-server", side: "client" }),
      server: createEndpoint({ ...attesting, mode: "client-verifies-server", side: "server" }),
    };
    return { client, server, ends };
  }

  test("the client has a result, the server an UnattestedPeer", async () => {
    const { client, server, ends } = await open();
    const opened = await channels(client, server, ends);
    expect(opened.client.peer).toMatchObject({ identity: server.fingerprint });
    expect(UnattestedPeer.is(opened.server.peer)).toBe(true);
    expect(client.collected()).toBe(0);
    await opened.client.reattest();
    await expect(opened.server.reattest()).rejects.toMatchObject({ code: "not-attested" });
    expect(opened.server.open).toBe(true);
    await opened.client.close();
  });

  test("an endpoint never takes the other side's part", async () => {
    const { client, server, ends } = await open();
    const [a, b] = memoryTransportPair({ clientKey: server.tls.spki, serverKey: client.tls.spki });
    await expect(ends.server.open(a)).rejects.toMatchObject({ code: "not-attested" });
    await expect(ends.client.open(b)).rejects.toMatchObject({ code: "not-attested" });
  });
});

describe("before both verdicts nothing is released", () => {
  /** Counts keying material under the workload's label. */
  function spied(transport: Transport, keys: () => void): Transport {
    return {
      role: transport.role,
      localKey: transport.localKey,
      peerKey: transport.peerKey,
      exportKey(label, context, length) {
        if (label.includes("workload")) keys();
        return transport.exportKey(label, context, length);
      },
      send: (parts) => transport.send(parts),
      receive: (consumer) => transport.receive(consumer),
      close: () => transport.close(),
      destroy: (error) => transport.destroy(error),
    };
  }

  async function watch(client: Party, server: Party) {
    const keys = vi.fn();
    const handler = vi.fn(() => 1);
    const admitted = vi.fn();
    const [a, b] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
    const order: string[] = [];
    const run = async (of: Party, transport: Transport) => {
      const sessions: SessionRegistry = {
        ...of.sessions,
        admit(session) {
          admitted();
          return of.sessions.admit(session);
        },
      };
      const channel = await endpoint(of, { sessions }).open(spied(transport, keys));
      order.push("open");
      channel.serve([handle(defineCall<number, number>("x"), handler)]);
      return channel;
    };
    const ends = await Promise.allSettled([run(client, a), run(server, b)]);
    return { ends, keys, handler, admitted };
  }

  test("control: with both verdicts handlers and keys work", async () => {
    const { client, server } = await pair();
    const { ends, keys, handler, admitted } = await watch(client, server);
    const [open] = ends;
    if (open?.status !== "fulfilled") throw open?.reason;
    await open.value.call(defineCall<number, number>("x"), 1);
    open.value.exportKey(new Uint8Array(1), 16);
    expect(handler).toHaveBeenCalledOnce();
    expect(keys).toHaveBeenCalledOnce();
    expect(admitted).toHaveBeenCalledTimes(2);
  });

  test("with one refusal no handler, key or session exists on either side", async () => {
    for (const bad of ["client", "server"] as const) {
      const { client, server } = await pair({ [bad]: { debug: true } });
      const { ends, keys, handler, admitted } = await watch(client, server);
      expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
      for (const spy of [keys, handler, admitted]) expect(spy).not.toHaveBeenCalled();
    }
  });
});

test("100 handshakes at once keep their identities apart", async () => {
  const { here, server } = await pair();
  const clients = await Promise.all(
    Array.from({ length: 100 }, () => party(here, { role: "receiver", peerRole: "sender" })),
  );
  for (const client of clients) acquaint(client, server);
  const serverEnd = endpoint(server);
  const opened = await Promise.all(
    clients.map((client) => channels(client, server, { server: serverEnd })),
  );
  expect(opened.map(({ server: { peer } }) => "identity" in peer && peer.identity)).toEqual(
    clients.map(({ fingerprint }) => fingerprint),
  );
  expect(new Set(opened.map(({ client }) => client.id)).size).toBe(100);
  for (const { client, server: other } of opened) expect(client.id).toBe(other.id);
  await Promise.all(opened.map(({ client }) => client.close()));
});

describe("limits before authentication", () => {
  test("handshakes at the same time", async () => {
    const { client, server } = await pair({ server: { limits: { maxConcurrentHandshakes: 1 } } });
    const serverEnd = endpoint(server);
    const [, silent] = memoryTransportPair({
      clientKey: client.tls.spki,
      serverKey: server.tls.spki,
    });
    const abort = new AbortController();
    const waiting = serverEnd.open(silent, { signal: abort.signal });
    const outcome = await meet(client, server, { server: serverEnd });
    expect(codeOf(outcome.server)).toBe("limit-exceeded");
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    expect(codeOf((await meet(client, server, { server: serverEnd })).server)).toBe("open");
  });

  test("time: a slow-loris peer that sends a byte at a time", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({ clock });
    const [a, b] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
    const opening = endpoint(server).open(b);
    const settled = expect(opening).rejects.toMatchObject({ code: "timeout" });
    a.receive({ data() {}, end() {} });
    for (let i = 0; i < 20; i++) {
      await a.send([new Uint8Array([[0, 0, 2, 0, 1][i] ?? 0])]).catch(() => undefined);
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await settled;
  });

  test("the length of a frame, before its body is there", async () => {
    const { client, server } = await pair();
    const [a, b] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
    const opening = endpoint(server).open(b);
    a.receive({ data() {}, end() {} });
    await a.send([new Uint8Array([0x7f, 0xff, 0xff, 0xff, 1])]);
    await expect(opening).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test("all bytes together", async () => {
    const { client, server } = await pair({ server: { limits: { maxHandshakeBytes: 600 } } });
    const outcome = await meet(client, server);
    expect(codeOf(outcome.server)).toBe("limit-exceeded");
    expect(codeOf(outcome.client)).not.toBe("open");
  });
});
