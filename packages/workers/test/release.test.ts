/** Nothing of a session exists before both verdicts: no port, no key, no task. */
import {
  type Appraiser,
  AttestationResult,
  createAppraiser,
  createDelegation,
  fingerprint,
  type Policy,
  type Revocations,
} from "@vivarium/attestation";
import { simulatedAttester, simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Channel,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
  defineStream,
  handleStream,
  memoryTransportPair,
} from "@vivarium/channel";
import {
  type Clock,
  type Signer,
  silentLog,
  systemClock,
  systemRandom,
  toHex,
} from "@vivarium/core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createPool, type Pool } from "../src/pool.ts";
import { createReleaseGate } from "../src/release.ts";
import { crypto, fixture } from "./support.ts";

const timeout = 30_000;
const clock = systemClock();
const echo = defineStream("echo");
const digest = (name: string) => crypto.digest("SHA-256", new TextEncoder().encode(name));

interface Side {
  readonly tls: Awaited<ReturnType<typeof createTlsIdentity>>;
  open(peer: string, appraiser: Appraiser, transport: never): Promise<Channel>;
  readonly fingerprint: string;
}

async function side(root: Signer, role: string, peerRole: string, code = "code"): Promise<Side> {
  const identity = await crypto.generateSigner("ES256");
  const worker = await crypto.generateSigner("ES256");
  const tls = await createTlsIdentity({ clock });
  const measured = {
    runtime: await digest("runtime"),
    flags: await digest("flags"),
    code: await digest(code),
    policy: await digest("policy"),
    config: await digest("config"),
  };
  const statement = {
    ...measured,
    keys: {
      tls: tls.spki,
      signing: worker.publicKey,
      hpke: systemRandom().bytes(32),
      receipt: worker.publicKey,
    },
  };
  const now = clock.now();
  const delegation = await createDelegation(identity, {
    worker: worker.publicKey,
    code: measured.code,
    workload: "psi",
    notBefore: now,
    notAfter: now + 3_600_000,
  });
  return {
    tls,
    fingerprint: await fingerprint(crypto, identity.publicKey),
    open: async (peer, appraiser, transport) => {
      const policy: Policy = {
        version: 1,
        name: "test",
        roles: {
          [peerRole]: {
            identities: [peer],
            accept: [
              {
                type: "simulated",
                isolation: "simulated",
                binding: "session",
                root: await fingerprint(crypto, root.publicKey),
                measurements: {
                  code: [toHex(await digest("code"))],
                  runtime: [toHex(measured.runtime)],
                },
                minimumSvn: {},
                tcb: ["UpToDate"],
                debug: false,
                maxAgeSeconds: 600,
              },
            ],
          },
        },
      };
      return createEndpoint({
        mode: "mutual",
        role,
        peerRole,
        workload: "psi",
        statement,
        identity: { delegation: () => delegation, signer: worker },
        attester: simulatedAttester({ root, crypto, clock, measured }),
        policy,
        appraiser,
        crypto,
        clock,
        random: systemRandom(),
        log: silentLog,
        sessions: createSessionRegistry({ clock }),
      }).open(transport);
    },
  };
}

const plain = () => createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock });

async function meet(
  options: { readonly code?: string; readonly appraiser?: Appraiser } = {},
): Promise<[PromiseSettledResult<Channel>, PromiseSettledResult<Channel>]> {
  const root = await crypto.generateSigner("ES256");
  const a = await side(root, "receiver", "sender");
  const b = await side(root, "sender", "receiver", options.code);
  const [one, two] = memoryTransportPair({ clientKey: a.tls.spki, serverKey: b.tls.spki });
  return Promise.allSettled([
    a.open(b.fingerprint, plain(), one as never),
    b.open(a.fingerprint, options.appraiser ?? plain(), two as never),
  ]);
}

async function channels(): Promise<[Channel, Channel]> {
  const [a, b] = await meet();
  if (a.status === "rejected") throw a.reason;
  if (b.status === "rejected") throw b.reason;
  return [a.value, b.value];
}

const gate = createReleaseGate({ clock });
let pool: Pool;
let ports: ReturnType<typeof vi.spyOn>;
let tasks: ReturnType<typeof vi.spyOn>;

beforeEach(() => {
  pool = createPool({ file: fixture("tasks.mjs"), threads: 1 });
  ports = vi.spyOn(globalThis, "MessageChannel");
  tasks = vi.spyOn(pool, "run");
});
afterEach(async () => {
  vi.restoreAllMocks();
  await pool.close();
});

/** What a workload does with a channel; `key` counts derivations. */
async function releaseAll(result: unknown, channel: Channel, using = gate) {
  const key = vi.spyOn(channel, "exportKey");
  const genuine = result as AttestationResult;
  const attempts = await Promise.allSettled([
    (async () => using.port(genuine, channel, { method: echo }))(),
    (async () => using.key(genuine, channel, new Uint8Array([1]), 32))(),
    using.task(genuine, channel, pool, "sum", new Float64Array([1])),
  ]);
  const made = {
    ports: ports.mock.calls.length,
    keys: key.mock.calls.length,
    tasks: tasks.mock.calls.length,
  };
  key.mockRestore();
  return { attempts, made };
}

const nothing = { ports: 0, keys: 0, tasks: 0 };

describe("release gate", () => {
  test(
    "nothing exists while one verdict is open, everything after both accepts",
    async () => {
      let verdict: () => void = () => {};
      const held = new Promise<void>((resolve) => {
        verdict = resolve;
      });
      let asked: () => void = () => {};
      const appraising = new Promise<void>((resolve) => {
        asked = resolve;
      });
      const slow: Appraiser = {
        appraise: async (input) => {
          asked();
          await held;
          return plain().appraise(input);
        },
      };
      let open = false;
      const meeting = meet({ appraiser: slow }).then(async ([a]) => {
        open = true;
        if (a.status === "rejected") throw a.reason;
        return releaseAll(a.value.peer, a.value);
      });
      await appraising;
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(open).toBe(false);
      expect(ports).not.toHaveBeenCalled();
      expect(tasks).not.toHaveBeenCalled();
      verdict();
      const { attempts, made } = await meeting;
      expect(attempts.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "fulfilled"]);
      expect(made).toEqual({ ports: 1, keys: 1, tasks: 1 });
    },
    timeout,
  );

  test(
    "a refused peer leaves no channel to release on",
    async () => {
      const [a, b] = await meet({ code: "other code" });
      expect([a.status, b.status]).toEqual(["rejected", "rejected"]);
      expect(ports).not.toHaveBeenCalled();
      expect(tasks).not.toHaveBeenCalled();
    },
    timeout,
  );

  test.each<[string, (mine: Channel, other: Channel) => unknown, string]>([
    ["a boolean", () => true, "not-a-result"],
    ["a look-alike", (mine) => ({ ...mine.peer }), "not-a-result"],
    [
      "an object with its prototype",
      (mine) => Object.assign(Object.create(AttestationResult.prototype), { expiresAt: mine.peer }),
      "not-a-result",
    ],
    ["the result of another channel", (_, other) => other.peer, "release-refused"],
  ])(
    "refuses %s",
    async (_, forge, code) => {
      const [mine] = await channels();
      const [other] = await channels();
      const { attempts, made } = await releaseAll(forge(mine, other), mine);
      for (const attempt of attempts) {
        expect(attempt).toMatchObject({ status: "rejected", reason: { code } });
      }
      expect(made).toEqual(nothing);
    },
    timeout,
  );

  test(
    "refuses an expired result and a revoked peer",
    async () => {
      const [mine] = await channels();
      const later: Clock = { ...clock, now: () => clock.now() + 86_400_000 };
      const expired = await releaseAll(mine.peer, mine, createReleaseGate({ clock: later }));
      expect(expired.made).toEqual(nothing);
      expect(expired.attempts[0]).toMatchObject({ reason: { code: "expired" } });
      const revocations: Revocations = {
        check: () => ({
          rule: "revocation.identity",
          ok: false,
          expected: "not revoked",
          actual: "revoked",
        }),
        onChange: () => () => {},
      };
      const revoked = await releaseAll(mine.peer, mine, createReleaseGate({ clock, revocations }));
      expect(revoked.made).toEqual(nothing);
      expect(revoked.attempts[0]).toMatchObject({ reason: { code: "release-refused" } });
    },
    timeout,
  );

  test(
    "a key is the same at both ends and another for another context",
    async () => {
      const [a, b] = await channels();
      const key = (channel: Channel, context: number) =>
        toHex(gate.key(channel.peer as AttestationResult, channel, new Uint8Array([context]), 32));
      expect(key(a, 1)).toBe(key(b, 1));
      expect(key(a, 1)).not.toBe(key(a, 2));
    },
    timeout,
  );

  test(
    "a thread talks over the channel through its port, with back-pressure",
    async () => {
      const [a, b] = await channels();
      b.serve([
        handleStream(echo, async function* (incoming) {
          for await (const bytes of incoming) yield bytes.map((byte) => 255 - byte);
        }),
      ]);
      const result = a.peer as AttestationResult;
      const port = gate.port(result, a, { method: echo });
      const received = await gate.task(
        result,
        a,
        pool,
        "talk",
        { port, items: 100 },
        { transfer: [port] },
      );
      expect(received).toEqual(Array.from({ length: 100 }, (_, i) => 255 - i));
    },
    timeout,
  );

  test(
    "the port ends with an error when the channel closes",
    async () => {
      const [a, b] = await channels();
      b.serve([handleStream(echo, (incoming) => incoming)]);
      const result = a.peer as AttestationResult;
      const port = gate.port(result, a, { method: echo });
      const talking = gate.task(
        result,
        a,
        pool,
        "talk",
        { port, items: 1_000_000 },
        { transfer: [port] },
      );
      setTimeout(() => void b[Symbol.asyncDispose](), 50);
      await expect(talking).rejects.toThrow();
    },
    timeout,
  );
});
