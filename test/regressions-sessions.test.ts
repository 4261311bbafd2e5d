/** The regression catalogue, continued: channels, sealed messages and PSI sessions. */
import { type Channel, defineCall, handle } from "@vivarium/channel";
import { utf8 } from "@vivarium/core";
import { type PsiBatch, type PsiConfig, runReceiver, runSender } from "@vivarium/psi";
import { createReplayGuard, generateRecipient, openMessage, sealMessage } from "@vivarium/seal";
import { describe, expect, test } from "vitest";
import {
  alice,
  bob,
  bytes32,
  clock,
  crypto,
  endpointOf,
  meet,
  opened,
  party,
  policyOf,
  random,
} from "./parties.ts";

describe("channel", () => {
  const ask = defineCall<string, string>("ask");

  test("HFL, D10: who is not attested reaches no method; who is, does, on the same server", async () => {
    const server = await endpointOf(alice, "receiver", await policyOf(bob, "sender"));
    const refused = await meet(server, await party());
    expect([refused.client.status, refused.server.status]).toEqual(["rejected", "rejected"]);
    const right = await meet(server, bob);
    opened(right.server).serve([handle(ask, async (text: string) => `${text}!`)]);
    expect(await opened(right.client).call(ask, "who")).toBe("who!");
    await opened(right.client).close();
  });

  test("D13: every connection is verified anew; an accepted one lends nothing to the next", async () => {
    const server = await endpointOf(alice, "receiver", await policyOf(bob, "sender"));
    const mallory = await party();
    const visits = [bob, mallory, bob, { ...mallory, identity: bob.identity, tls: bob.tls }];
    const all = await Promise.all(visits.map((visitor) => meet(server, visitor).catch(() => null)));
    expect(all.map((one) => one?.server.status ?? "rejected")).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "rejected",
    ]);
  });
});

test("ASPS: a captured message opens with the attested key only, and once only", async () => {
  const right = await generateRecipient("X25519");
  const wrong = await generateRecipient("X25519");
  const context = { info: bytes32(1), aad: bytes32(2), clock };
  const sealed = await sealMessage({
    ...context,
    random,
    to: { kem: "X25519", publicKey: right.publicKey },
    from: alice.worker,
    plaintext: bytes32(3),
  });
  const from = { signing: alice.worker.publicKey, algorithm: "ES256" as const };
  const open = (recipient: typeof right, replay = createReplayGuard({ clock })) =>
    openMessage(sealed, { ...context, crypto, recipient, from, replay });
  await expect(open(wrong)).rejects.toMatchObject({ domain: "seal" });
  const replay = createReplayGuard({ clock });
  expect((await open(right, replay)).plaintext).toEqual(bytes32(3));
  await expect(open(right, replay)).rejects.toMatchObject({ domain: "seal", code: "replayed" });
});

describe("PSI", () => {
  const config: PsiConfig = {
    mode: "intersection",
    resultTo: "both",
    keys: { encoding: "test/1", columns: [{ name: "key", normalise: [] }] },
    maxItems: 100,
    minItems: 0,
  };

  async function* input(items: readonly string[]): AsyncGenerator<PsiBatch> {
    const encoded = items.map(utf8);
    const offsets = new Uint32Array(items.length + 1);
    for (const [i, one] of encoded.entries()) offsets[i + 1] = (offsets[i] as number) + one.length;
    const bytes = Uint8Array.from(encoded.flatMap((one) => [...one]));
    yield { bytes, offsets, rows: Uint32Array.from(items, (_, i) => i) };
  }

  async function channels(): Promise<{ readonly client: Channel; readonly server: Channel }> {
    const server = await endpointOf(alice, "receiver", await policyOf(bob, "sender"));
    const met = await meet(server, bob);
    return { client: opened(met.client), server: opened(met.server) };
  }

  const run = (
    { client, server }: Awaited<ReturnType<typeof channels>>,
    a: string[],
    b: string[],
  ) =>
    Promise.all([
      runReceiver(server, { config, input: input(a) }),
      runSender(client, { config, input: input(b) }),
    ]);

  test("an item that one party repeats is common only if the other has it", async () => {
    const [r, s] = await run(await channels(), ["x", "x", "x", "y"], ["y", "z", "z", "z"]);
    expect([r.matches, s.matches]).toEqual([1, 1]);
    expect([...(r.rows ?? [])]).toEqual([3]);
    expect([...(s.rows ?? [])]).toEqual([0]);
  });

  test.each([
    [["a"], ["b"]],
    [[], ["b"]],
    [["a"], []],
    [[], []],
  ])("an empty result ends both sides: %j and %j", async (a, b) => {
    const [r, s] = await run(await channels(), a, b);
    expect([r.matches, s.matches]).toEqual([0, 0]);
    expect([[...(r.rows ?? [])], [...(s.rows ?? [])]]).toEqual([[], []]);
  });

  test("a second session on one channel is a session of its own", async () => {
    const both = await channels();
    const [first] = await run(both, ["a", "b"], ["b"]);
    const [second] = await run(both, ["c", "d"], ["a", "b"]);
    expect([first.matches, second.matches]).toEqual([1, 0]);
    expect(second.session).not.toEqual(first.session);
  });

  test("a late sender is waited for", async () => {
    const { client, server } = await channels();
    const receiver = runReceiver(server, { config, input: input(["a"]) });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const sender = runSender(client, { config, input: input(["a"]) });
    expect((await receiver).matches).toBe(1);
    expect((await sender).matches).toBe(1);
  });

  test("a false claim to be the one who learns: two senders get nothing", async () => {
    const { client, server } = await channels();
    const cancel = new AbortController();
    const both = [client, server].map((channel) =>
      runSender(channel, { config, input: input(["a"]), signal: cancel.signal }),
    );
    setTimeout(() => cancel.abort(), 200);
    for (const end of await Promise.allSettled(both)) {
      expect(end).toMatchObject({ status: "rejected", reason: { domain: "psi", code: "aborted" } });
    }
  });

  test("the role is the attested policy's: who has no rules for senders opens to none", async () => {
    const rules = await policyOf(bob, "receiver");
    const met = await meet(await endpointOf(alice, "receiver", rules), bob);
    expect([met.client.status, met.server.status]).toEqual(["rejected", "rejected"]);
    expect((await channels()).server.peer).toMatchObject({ role: "sender" });
  });
});
