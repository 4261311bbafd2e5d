/** How channels end, and how they are renewed. */
import { createDelegation, createRevocations, signRevocationList } from "@vivarium/attestation";
import { type ManualClock, manualClock } from "@vivarium/core";
import { describe, expect, test, vi } from "vitest";
import { renewedBinding } from "../src/handshake/binding.ts";
import { type Channel, defineStream, handleStream } from "../src/index.ts";
import { acquaint, channels, crypto, endpoint, pair, party } from "./party.ts";

const noon = Date.parse("2026-03-01T12:00:00Z");
const turn = () => new Promise((resolve) => setTimeout(resolve, 2));

async function pass(clock: ManualClock, ms: number, step = 5_000): Promise<void> {
  for (let passed = 0; passed < ms; passed += step) {
    clock.advance(Math.min(step, ms - passed));
    await turn();
  }
}

describe("re-attestation", () => {
  test("gives a new result over the running channel, while a stream goes on", async () => {
    const { client, server } = await pair();
    const open = await channels(client, server);
    const ticks = defineStream("ticks");
    open.server.serve([
      handleStream(ticks, async function* () {
        for (let i = 0; i < 50; i++) {
          await new Promise((resolve) => setImmediate(resolve));
          yield new Uint8Array([i]);
        }
      }),
    ]);
    const before = open.client.peer;
    const reading = (async () => {
      const seen: number[] = [];
      for await (const [i] of open.client.stream(ticks, [])) seen.push(i as number);
      return seen;
    })();
    await Promise.all([open.client.reattest(), open.server.reattest()]);
    await open.client.reattest();
    expect(open.client.peer).not.toBe(before);
    expect(open.client.peer).toMatchObject({ identity: server.fingerprint });
    expect(await reading).toHaveLength(50);
    await open.client.close();
  });

  test("happens by itself at 80 % of the lifetime, again and again", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({ clock, client: { maxAgeSeconds: 100 } });
    const open = await channels(client, server);
    const first = open.client.peer;
    await pass(clock, 79_000);
    expect(open.client.peer).toBe(first);
    await pass(clock, 2_000);
    expect(open.client.peer).not.toBe(first);
    await pass(clock, 300_000);
    expect([open.client.open, open.server.open]).toEqual([true, true]);
    await open.client.close();
  });

  test("takes a renewed delegation of the same worker key", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({ clock, server: { delegationMs: 60_000 } });
    let delegation = server.options.identity.delegation();
    const identity = { signer: server.worker, delegation: () => delegation };
    const open = await channels(client, server, { server: endpoint(server, { identity }) });
    const before = open.client.peer as { expiresAt: number };
    delegation = await createDelegation(server.identity, {
      worker: server.worker.publicKey,
      code: server.statement.code,
      workload: "psi",
      notBefore: clock.now(),
      notAfter: clock.now() + 3600_000,
    });
    await open.client.reattest();
    expect((open.client.peer as { expiresAt: number }).expiresAt).toBeGreaterThan(before.expiresAt);
    await open.client.close();
  });

  test("by another party that the policy also names is refused, and closes", async () => {
    const { here, client, server } = await pair();
    const other = await party(here, { role: "sender", peerRole: "receiver" });
    acquaint(client, other);
    let delegation = server.options.identity.delegation();
    const identity = { signer: server.worker, delegation: () => delegation };
    const open = await channels(client, server, { server: endpoint(server, { identity }) });
    const now = here.clock.now();
    delegation = await createDelegation(other.identity, {
      worker: server.worker.publicKey,
      code: server.statement.code,
      workload: "psi",
      notBefore: now - 1000,
      notAfter: now + 60_000,
    });
    await expect(open.client.reattest()).rejects.toMatchObject({
      findings: [expect.objectContaining({ rule: "identity.continuity" })],
    });
    expect((await open.client.closed).code).toBe("refused");
  });

  for (const field of ["epoch", "previous", "exporter", "statement", "role"] as const) {
    test(`with another ${field} in the binding is refused, and closes`, async () => {
      const { client, server } = await pair();
      const values = {
        epoch: 9,
        previous: new Uint8Array(64),
        exporter: new Uint8Array(32),
        statement: new Uint8Array(32),
        role: "client",
      };
      const open = await channels(client, server, {
        server: endpoint(
          server,
          {},
          { rebinder: (c, given) => renewedBinding(c, { ...given, [field]: values[field] }) },
        ),
      });
      await expect(open.client.reattest()).rejects.toMatchObject({ code: "refused" });
      expect((await open.client.closed).code).toBe("refused");
    });
  }

  test("that fails for want of evidence extends nothing: the channel ends on time", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({ clock, client: { maxAgeSeconds: 100 } });
    let works = true;
    const attester = {
      ...server.attester,
      collect: async (data: Uint8Array) => {
        if (!works) throw new Error("the device is gone");
        return await server.attester.collect(data);
      },
    };
    const open = await channels(client, server, { server: endpoint(server, { attester }) });
    works = false;
    await expect(open.client.reattest()).rejects.toMatchObject({ code: "remote" });
    expect(open.client.open).toBe(true);
    await pass(clock, 99_000);
    expect(open.client.open).toBe(true);
    await pass(clock, 2_000);
    expect((await open.client.closed).code).toBe("expired");
  });

  test("is asked for a bounded number of times", async () => {
    const limits = { maxReattestationsPerMinute: 2 };
    const { client, server } = await pair({ server: { limits } });
    const open = await channels(client, server);
    await open.client.reattest();
    await open.client.reattest();
    await expect(open.client.reattest()).rejects.toThrow();
    expect((await open.server.closed).code).toBe("limit-exceeded");
  });

  test("with debug evidence, where the first was not, closes", async () => {
    const { here, client, server } = await pair();
    const other = await party(here, { role: "sender", peerRole: "receiver", debug: true });
    let first = true;
    const attester = {
      ...server.attester,
      collect: async (data: Uint8Array) => {
        const use = first ? server.attester : other.attester;
        first = false;
        return await use.collect(data);
      },
    };
    const open = await channels(client, server, { server: endpoint(server, { attester }) });
    await expect(open.client.reattest()).rejects.toMatchObject({ code: "refused" });
    expect((await open.client.closed).code).toBe("refused");
  });
});

describe("expiry", () => {
  /** Nothing but the expiry itself ends these channels. */
  const limits = { heartbeatMs: 3600_000, silenceMs: 7200_000, reattestTimeoutMs: 3600_000 };

  test("a peer that does not answer is gone when its result is", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({
      clock,
      client: { maxAgeSeconds: 60, limits },
      server: { limits },
    });
    const open = await channels(client, server);
    // All at once: the peer never gets a turn to answer.
    clock.advance(60_000);
    expect((await open.client.closed).code).toBe("expired");
    expect(() => open.client.exportKey(new Uint8Array(1), 16)).toThrow(/expired/);
  });

  test("a clock that the host has set back makes nothing live longer", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({
      clock,
      client: { maxAgeSeconds: 60, limits },
      server: { limits },
    });
    const open = await channels(client, server);
    clock.setWallClock(noon - 3600_000);
    clock.advance(60_000);
    expect((await open.client.closed).code).toBe("expired");
  });

  test("a clock that jumps ahead ends the channel at the next use", async () => {
    const clock = manualClock(noon);
    const { client, server } = await pair({ clock });
    const open = await channels(client, server);
    clock.setWallClock(noon + 3600_000);
    expect(() => open.client.exportKey(new Uint8Array(1), 16)).toThrow();
    expect((await open.client.closed).code).toBe("expired");
  });
});

describe("revocation", () => {
  test("closes every channel of the identity and no other, and admits no new one", async () => {
    const clock = manualClock(noon);
    const authority = await crypto.generateSigner("ES256");
    const { fingerprint } = await import("@vivarium/attestation");
    const revocations = createRevocations({
      crypto,
      clock,
      signers: [await fingerprint(crypto, authority.publicKey)],
      maxAgeMs: 3600_000,
    });
    const publish = async (sequence: number, identities: readonly string[]) =>
      await revocations.update(
        await signRevocationList(authority, {
          sequence,
          issuedAt: clock.now(),
          identities,
          measurements: [],
          tcb: [],
        }),
      );
    await publish(1, []);
    const { here, client: bad, server } = await pair({ clock, server: { revocations } });
    const good = await party(here, { role: "receiver", peerRole: "sender" });
    acquaint(good, server);
    const serverEnd = endpoint(server);
    const doomed = await Promise.all(
      Array.from({ length: 5 }, () => channels(bad, server, { server: serverEnd })),
    );
    const spared = await channels(good, server, { server: serverEnd });
    expect(server.sessions.size).toBe(6);
    await publish(2, [bad.fingerprint]);
    for (const { server: channel } of doomed) expect((await channel.closed).code).toBe("revoked");
    for (const { client: channel } of doomed) await channel.closed;
    expect(server.sessions.size).toBe(1);
    expect(spared.server.open).toBe(true);
    await expect(channels(bad, server, { server: serverEnd })).rejects.toBeDefined();
    // A list that nobody renews refuses everyone.
    await pass(clock, 3601_000, 9_000);
    expect((await spared.server.closed).code).toMatch(/revoked|refused/);
  });

  test("between appraisal and admission is not lost", async () => {
    let revoked = false;
    const finding = { rule: "revoked", ok: false, expected: "", actual: "" };
    const revocations = {
      check: () => (revoked ? finding : undefined),
      onChange: () => () => {},
    };
    const { client, server } = await pair({ server: { revocations } });
    const { appraiser } = server.options;
    const racing = {
      appraise: async (input: Parameters<typeof appraiser.appraise>[0]) => {
        const appraisal = await appraiser.appraise(input);
        revoked = true;
        return appraisal;
      },
    };
    await expect(
      channels(client, server, { server: endpoint(server, { appraiser: racing }) }),
    ).rejects.toBeDefined();
    await vi.waitFor(() => expect([client.sessions.size, server.sessions.size]).toEqual([0, 0]));
  });

  test("closing the registry closes its channels", async () => {
    const { client, server } = await pair();
    const open: Channel = (await channels(client, server)).client;
    client.sessions.close();
    expect((await open.closed).code).toBe("closed");
  });
});
