/** The adversary of channels.md 2.5: terminates the transport on both sides and relays frames. */
import { decode, type Encodable, encode } from "@vivarium/core";
import { describe, expect, test, vi } from "vitest";
import { frameTypes } from "../src/frames.ts";
import {
  connectTls,
  createTlsIdentity,
  defineCall,
  handle,
  listenTls,
  memoryTransportPair,
  type Transport,
} from "../src/index.ts";
import { codeOf, endpoint, meet, type Outcome, type Party, pair, rulesOf } from "./party.ts";
import { type Relay, type RelayedFrame, relay, type Tamper } from "./relay.ts";

const keep = (frame: RelayedFrame) => [frame];

interface Attack {
  readonly outcome: Outcome;
  readonly relay: Relay;
  readonly client: Party;
  readonly server: Party;
}

/**
 * @param wire "cut in": the attacker is a wire between honest ends that share one connection's
 * secrets, which TLS does not allow him: so that each check is seen working without TLS before it.
 * "two ends": he has a connection of his own to each side, as he would have in earnest.
 */
async function attack(tamper: Tamper, wire: "cut in" | "two ends" = "two ends"): Promise<Attack> {
  const limits = { handshakeTimeoutMs: 300 };
  const { client, server } = await pair({ client: { limits }, server: { limits } });
  const evil = await createTlsIdentity({ clock: client.options.clock });
  const [a, evilServer] = memoryTransportPair({ clientKey: client.tls.spki, serverKey: evil.spki });
  const [evilClient, b] = memoryTransportPair({ clientKey: evil.spki, serverKey: server.tls.spki });
  const middle = relay(evilServer, evilClient, tamper);
  const fused = memoryTransportPair({ clientKey: client.tls.spki, serverKey: server.tls.spki });
  const [clientEnd, serverEnd] =
    wire === "two ends" ? [a, b] : [disguised(a, fused[0]), disguised(b, fused[1])];
  const [c, s] = await Promise.allSettled([
    endpoint(client).open(clientEnd),
    endpoint(server).open(serverEnd),
  ]);
  return { outcome: { client: c, server: s }, relay: middle, client, server };
}

/** Bytes of one transport, keys and exporter of another. */
function disguised(bytes: Transport, secrets: Transport): Transport {
  return {
    role: bytes.role,
    localKey: secrets.localKey,
    peerKey: secrets.peerKey,
    exportKey: (label, context, length) => secrets.exportKey(label, context, length),
    send: (parts) => bytes.send(parts),
    receive: (consumer) => bytes.receive(consumer),
    close: () => bytes.close(),
    destroy: (error) => bytes.destroy(error),
  };
}

function expectRefused({ outcome, client, server, relay: { seen } }: Attack): void {
  expect(codeOf(outcome.client)).not.toBe("open");
  expect(codeOf(outcome.server)).not.toBe("open");
  // Registered nowhere, and no frame of the application on any wire.
  expect([client.sessions.size, server.sessions.size]).toEqual([0, 0]);
  expect(seen.every(({ type }) => type < frameTypes.open)).toBe(true);
}

/** Changes the fields of a Hello. */
function editHello(change: (fields: Encodable[]) => void): Tamper {
  return (frame) => {
    if (frame.type !== frameTypes.hello) return [frame];
    const fields = decode(frame.body) as Encodable[];
    change(fields);
    return [{ type: frame.type, body: encode(fields) }];
  };
}

test("control: the wire alone, nothing changed and secrets shared, opens", async () => {
  const { outcome } = await attack(keep, "cut in");
  expect([codeOf(outcome.client), codeOf(outcome.server)]).toEqual(["open", "open"]);
});

describe("a man in the middle with connections of his own", () => {
  test("who passes everything on is refused for the key in the statement", async () => {
    const result = await attack(keep);
    expectRefused(result);
    expect(rulesOf(result.outcome.client)).toEqual(["hello.tls-key"]);
    // Costly evidence was never made.
    expect([result.client.collected(), result.server.collected()]).toEqual([0, 0]);
  });

  test("who puts his own key into the statements is refused for the binding", async () => {
    const result = await attack(async (frame) => {
      if (frame.type !== frameTypes.hello) return [frame];
      return [{ type: frame.type, body: swapKeys(frame.body) }];
    });
    expectRefused(result);
  });
});

/** Overwrites every P-256 point of a Hello: still well-formed, with keys of the attacker. */
function swapKeys(hello: Uint8Array): Uint8Array {
  const out = new Uint8Array(hello);
  const point = [0x03, 0x42, 0x00, 0x04];
  for (let i = 0; i + 68 < out.length; i++) {
    if (point.every((byte, j) => out[i + j] === byte)) out.fill(7, i + 4, i + 68);
  }
  return out;
}

describe("whatever a wire does to one frame of an honest pair, nobody opens", () => {
  const names = ["hello", "identity", "evidence"] as const;
  for (const name of names) {
    for (const from of ["client", "server"] as const) {
      const hits = (frame: RelayedFrame) => frame.type === frameTypes[name] && frame.from === from;

      test(`${name} of the ${from}: dropped`, async () => {
        expectRefused(await attack((frame) => (hits(frame) ? [] : [frame]), "cut in"));
      });

      test(`${name} of the ${from}: truncated`, async () => {
        const cut = (frame: RelayedFrame) => ({ ...frame, body: frame.body.subarray(0, -1) });
        expectRefused(await attack((frame) => [hits(frame) ? cut(frame) : frame], "cut in"));
      });

      test(`${name} of the ${from}: one bit changed, at every 16th byte`, async () => {
        const { length } = await frameOf(name, from);
        for (let at = 0; at < length; at += 16) {
          const flip = (frame: RelayedFrame) => {
            const body = new Uint8Array(frame.body);
            body[at % body.length] = (body[at % body.length] as number) ^ 1;
            return { ...frame, body };
          };
          expectRefused(await attack((frame) => [hits(frame) ? flip(frame) : frame], "cut in"));
        }
      });

      test(`${name} of the ${from}: sent twice`, async () => {
        const result = await attack((frame) => (hits(frame) ? [frame, frame] : [frame]), "cut in");
        const other = result.outcome[from];
        if (name === "evidence" && other.status === "fulfilled") {
          // Its peer noticed only after both verdicts had crossed: the channel dies at once.
          expect((await other.value.closed).code).toBe("peer-refused");
        }
        const victim = result.outcome[from === "client" ? "server" : "client"];
        expect(codeOf(victim)).not.toBe("open");
        expect(result.relay.seen.every(({ type }) => type < frameTypes.open)).toBe(true);
      });

      test(`${name} of the ${from}: of another session`, async () => {
        const old = await frameOf(name, from);
        expectRefused(
          await attack((frame) => [hits(frame) ? { ...frame, body: old } : frame], "cut in"),
        );
      });

      test(`${name} of the ${from}: reflected`, async () => {
        const other = from === "client" ? "server" : "client";
        let own: Uint8Array | undefined;
        expectRefused(
          await attack((frame) => {
            if (frame.type === frameTypes[name] && frame.from === other) own = frame.body;
            if (!hits(frame)) return [frame];
            return own === undefined ? [] : [{ ...frame, body: own }];
          }, "cut in"),
        );
      });
    }
  }

  test("cut off before the last verdict: the side that has not heard it does not open", async () => {
    const result = await attack(
      (frame) => (frame.type === frameTypes.verdict ? null : [frame]),
      "cut in",
    );
    expectRefused(result);
  });

  test("the right content under another type, such as one of the application's", async () => {
    for (const name of ["hello", "identity", "evidence", "verdict"] as const) {
      const result = await attack(
        (frame) => [frame.type === frameTypes[name] ? { ...frame, type: frameTypes.open } : frame],
        "cut in",
      );
      const ends = [codeOf(result.outcome.client), codeOf(result.outcome.server)];
      expect(ends).not.toContain("open");
      expect(ends).toContain("protocol");
    }
  });

  test("a verdict in place of evidence", async () => {
    const verdict = { type: frameTypes.verdict, body: new Uint8Array([1]) };
    expectRefused(
      await attack((frame) => (frame.type === frameTypes.evidence ? [verdict] : [frame]), "cut in"),
    );
  });

  test("verdicts of the attacker's before the evidence", async () => {
    const verdict = { type: frameTypes.verdict, body: new Uint8Array([1]) };
    expectRefused(
      await attack(
        (frame) => (frame.type === frameTypes.hello ? [frame, verdict] : [frame]),
        "cut in",
      ),
    );
  });

  test("a verdict that is not acceptance", async () => {
    const no = (frame: RelayedFrame) => [{ type: frame.type, body: new Uint8Array([0]) }];
    expectRefused(
      await attack((frame) => (frame.type === frameTypes.verdict ? no(frame) : [frame]), "cut in"),
    );
  });

  test("held back for too long", async () => {
    const result = await attack(async (frame) => {
      if (frame.type === frameTypes.evidence) await new Promise((r) => setTimeout(r, 500));
      return [frame];
    }, "cut in");
    expectRefused(result);
    expect(codeOf(result.outcome.client)).toBe("timeout");
  });

  test("an application frame before the verdict is not parsed", async () => {
    const open = { type: frameTypes.open, body: new Uint8Array([0, 0, 0, 1, 0xff]) };
    for (const after of ["hello", "identity", "evidence"] as const) {
      const result = await attack(
        (frame) => (frame.type === frameTypes[after] ? [frame, open] : [frame]),
        "cut in",
      );
      expect(codeOf(result.outcome.client)).not.toBe("open");
      expect(codeOf(result.outcome.server)).not.toBe("open");
    }
  });
});

describe("downgrade in the Hello", () => {
  const edits: readonly [string, (fields: Encodable[]) => void][] = [
    [
      "version 0",
      (fields) => {
        fields[0] = 0;
      },
    ],
    [
      "version 2",
      (fields) => {
        fields[0] = 2;
      },
    ],
    [
      "the weaker mode",
      (fields) => {
        fields[1] = "client-verifies-server";
      },
    ],
    [
      "another role",
      (fields) => {
        fields[2] = "observer";
      },
    ],
    [
      "another nonce",
      (fields) => {
        fields[3] = new Uint8Array(32);
      },
    ],
    [
      "another clock",
      (fields) => {
        fields[4] = (fields[4] as number) + 1;
      },
    ],
    [
      "other evidence types",
      (fields) => {
        fields[5] = ["simulated", "tpm"];
      },
    ],
    [
      "no statement",
      (fields) => {
        fields[6] = null;
      },
    ],
  ];
  for (const [name, change] of edits) {
    test(`to ${name}`, async () => {
      expectRefused(await attack(editHello(change), "cut in"));
    });
  }
});

/** A frame of another, honest session between other parties of the same kind. */
async function frameOf(name: "hello" | "identity" | "evidence", from: string): Promise<Uint8Array> {
  const { relay: old } = await attack(keep, "cut in");
  const found = old.seen.find((frame) => frame.type === frameTypes[name] && frame.from === from);
  return found?.body ?? new Uint8Array(0);
}

test("replay between the same two parties: evidence of their last session is refused", async () => {
  const { client, server } = await pair();
  const bodies: Uint8Array[] = [];
  const record = {
    ...server.attester,
    collect: async (data: Uint8Array) => {
      const evidence = await server.attester.collect(data);
      bodies.push(evidence.bytes);
      return evidence;
    },
  };
  const first = await meet(client, server, { server: endpoint(server, { attester: record }) });
  expect(codeOf(first.client)).toBe("open");
  const replay = {
    ...server.attester,
    collect: async () => ({
      type: "simulated" as const,
      bytes: bodies[0] as Uint8Array,
      attachments: {},
    }),
  };
  const second = await meet(client, server, { server: endpoint(server, { attester: replay }) });
  expect(rulesOf(second.client)).toEqual(["report-data"]);
  expect(codeOf(second.server)).toBe("peer-refused");
});

test("over real TLS, a relay with certificates of its own is refused by both ends", async () => {
  const { client, server, here } = await pair();
  const evil = await createTlsIdentity({ clock: here.clock });
  const host = "127.0.0.1";
  const honest = await listenTls({ host, port: 0, key: server.tls, clock: here.clock });
  const trap = await listenTls({ host, port: 0, key: evil, clock: here.clock });
  const handler = vi.fn(() => 1);
  const serverSide = (async () => {
    const { value } = await honest.accept().next();
    const channel = await endpoint(server).open(value);
    channel.serve([handle(defineCall("x"), handler)]);
  })();
  const middle = (async () => {
    const { value } = await trap.accept().next();
    relay(value, await connectTls({ host, port: honest.port, key: evil }));
  })();
  const transport = await connectTls({ host, port: trap.port, key: client.tls });
  await middle;
  const ends = await Promise.allSettled([endpoint(client).open(transport), serverSide]);
  expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(handler).not.toHaveBeenCalled();
  await Promise.all([honest.close(), trap.close()]);
});
