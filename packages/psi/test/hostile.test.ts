/** A peer that does not follow the protocol: each deviation ends the run on both sides. */
import { decode, encode, fromHex } from "@vivarium/core";
import { describe, expect, test } from "vitest";
import type { PsiConfig, PsiOptions } from "../src/index.ts";
import { psiErrorCodes } from "../src/index.ts";
import { codeOf, config, input, linkPair, resultOf, runBoth, type Tap } from "./support.ts";

const hello = 1;
const sizes = 2;
const points = 3;
const tags = 4;
const bitmap = 5;
const count = 6;
const done = 7;

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `item-${from + i}`);
const left = range(0, 40);
const right = range(20, 50);

type Side = "receiver" | "sender";

/** Changes the first frame of a type that one side sends. */
function change(side: Side, type: number, edit: (frame: Uint8Array) => Uint8Array): Tap {
  let changed = false;
  return (frame, from) => {
    if (from !== side || frame[0] !== type || changed) return frame;
    changed = true;
    return edit(frame);
  };
}

/** Codes of [the side that was lied to, the other]. */
async function codes(
  tap: Tap,
  victim: Side,
  settings: Partial<PsiConfig> = {},
): Promise<[string, string]> {
  const agreed = { ...config, ...settings };
  const [r, s] = await runBoth(
    linkPair(tap),
    { items: left, config: agreed },
    { items: right, config: agreed },
  );
  return victim === "receiver" ? [codeOf(r), codeOf(s)] : [codeOf(s), codeOf(r)];
}

const withRecord = (index: number, record: Uint8Array) => (frame: Uint8Array) => {
  frame.set(record, 1 + 32 * index);
  return frame;
};
const control = (frame: Uint8Array, fields: Record<string, number>): Uint8Array => {
  const value = decode(frame.subarray(1)) as Record<string, never>;
  return Uint8Array.of(frame[0] as number, ...encode({ ...value, ...fields }));
};
const shorter = (frame: Uint8Array): Uint8Array => frame.subarray(0, frame.length - 32);
const longer = (frame: Uint8Array): Uint8Array => Uint8Array.of(...frame, ...new Uint8Array(32));

for (const [victim, liar] of [
  ["receiver", "sender"],
  ["sender", "receiver"],
] as const) {
  describe(`the ${liar} lies to the ${victim}`, () => {
    test.each<[string, string, Tap]>([
      ["u = 0", "invalid-point", change(liar, points, withRecord(3, new Uint8Array(32)))],
      [
        "u = 1",
        "invalid-point",
        change(liar, points, withRecord(0, Uint8Array.of(1, ...new Uint8Array(31)))),
      ],
      [
        "a point of order 8",
        "invalid-point",
        change(
          liar,
          points,
          withRecord(
            7,
            fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
          ),
        ),
      ],
      [
        "u >= p",
        "invalid-point",
        change(liar, points, withRecord(1, new Uint8Array(32).fill(255))),
      ],
      [
        "bit 255 set",
        "invalid-point",
        change(liar, points, (frame) => {
          frame[32] = (frame[32] as number) | 0x80;
          return frame;
        }),
      ],
      [
        "a point twice",
        "duplicate-point",
        change(liar, points, (frame) => withRecord(5, frame.slice(1, 33))(frame)),
      ],
      ["a point less than announced", "protocol", change(liar, points, shorter)],
      ["a point more than announced", "protocol", change(liar, points, longer)],
      ["no points at all", "protocol", change(liar, points, () => Uint8Array.of(points))],
      ["a size one higher", "protocol", change(liar, sizes, (f) => control(f, { items: 41 }))],
      [
        "a size over the agreed limit",
        "size",
        change(liar, sizes, (f) => control(f, { items: 100_001 })),
      ],
      ["a negative size", "protocol", change(liar, sizes, (f) => control(f, { items: -1 }))],
      ["half a size", "protocol", change(liar, sizes, (f) => control(f, { items: 0.5 }))],
      [
        "another field beside the size",
        "protocol",
        change(liar, sizes, (f) => control(f, { x: 1 })),
      ],
      ["garbage for a size", "protocol", change(liar, sizes, () => Uint8Array.of(sizes, 0xc1))],
      [
        "frames of another type",
        "protocol",
        change(liar, points, (f) => Uint8Array.of(tags, ...f.subarray(1))),
      ],
      ["an empty frame", "protocol", change(liar, points, () => new Uint8Array())],
      ["garbage for a Hello", "protocol", change(liar, hello, () => Uint8Array.of(hello, 0xff))],
      [
        "other counts at the end",
        "transcript-mismatch",
        change(liar, done, (f) => control(f, { peerItems: 1 })),
      ],
      [
        "another transcript",
        "transcript-mismatch",
        change(liar, done, (f) => {
          f[f.length - 1] = (f[f.length - 1] as number) ^ 1;
          return f;
        }),
      ],
    ])("with %s: %s", async (_, code, tap) => {
      const [own, other] = await codes(tap, victim);
      expect(own).toBe(code);
      // The last frame of a run cannot be taken back: after `done` only its reader may see a lie.
      if (code !== "transcript-mismatch") {
        expect(psiErrorCodes).toContain(other);
        expect(other).not.toBe("no error");
      }
    });
  });
}

describe("the sender's second round", () => {
  test("an equal tag twice is a collision, not a result", async () => {
    const tap = change("sender", tags, (frame) => {
      frame.copyWithin(1, 11, 21);
      return frame;
    });
    expect(await codes(tap, "receiver")).toEqual(["collision", "peer-aborted"]);
    expect(await codes(tap, "receiver", { mode: "cardinality" })).not.toContain("failed");
  });
  test("tags changed on the way give no result on either side", async () => {
    const flip = change("sender", tags, (frame) => {
      frame[1] = (frame[1] as number) ^ 1;
      return frame;
    });
    const outcome = await codes(flip, "receiver");
    expect(outcome).toContain("transcript-mismatch");
    expect(outcome).not.toContain("no error");
  });
});

describe("the receiver's result", () => {
  test.each<[string, (frame: Uint8Array) => Uint8Array]>([
    ["a byte short", (frame) => frame.subarray(0, frame.length - 1)],
    ["bits behind the end", (f) => Uint8Array.of(...f.subarray(0, f.length - 1), 0xff)],
  ])("a bitmap with %s", async (_, edit) => {
    expect((await codes(change("receiver", bitmap, edit), "sender"))[0]).toBe("protocol");
  });
  test("a bitmap changed on the way", async () => {
    const flip = change("receiver", bitmap, (frame) => {
      frame[1] = (frame[1] as number) ^ 1;
      return frame;
    });
    expect((await codes(flip, "sender"))[0]).toBe("transcript-mismatch");
  });
  test("a count over what is possible", async () => {
    const lie = change("receiver", count, (f) => control(f, { matches: 31 }));
    expect((await codes(lie, "sender", { mode: "cardinality" }))[0]).toBe("protocol");
  });
});

describe("configurations", () => {
  test.each<[string, Partial<PsiConfig>]>([
    ["mode", { mode: "cardinality" }],
    ["resultTo", { resultTo: "receiver" }],
    ["maxItems", { maxItems: 99 }],
    ["minItems", { minItems: 1 }],
    ["keys.encoding", { keys: { ...config.keys, encoding: "other" } }],
    [
      "keys.columns[0].name",
      { keys: { ...config.keys, columns: [{ name: "x", normalise: ["trim/1"] }] } },
    ],
    [
      "keys.columns[0].normalise",
      { keys: { ...config.keys, columns: [{ name: "key", normalise: [] }] } },
    ],
    [
      "keys.columns[1].name",
      { keys: { ...config.keys, columns: [...config.keys.columns, { name: "b", normalise: [] }] } },
    ],
  ])("that differ in %s: both sides name it, no input is read", async (field, other) => {
    let read = false;
    const watched = async function* () {
      read = true;
      yield* input(left);
    };
    const [r, s] = await runBoth(
      linkPair(),
      { items: left, input: watched() },
      { items: right, config: { ...config, ...other }, input: watched() },
    );
    expect([codeOf(r), codeOf(s)]).toEqual(["config-mismatch", "config-mismatch"]);
    for (const side of [r, s]) {
      if (side.status === "rejected")
        expect((side.reason as Error).message).toContain(`"${field}"`);
    }
    expect(read).toBe(false);
  });
  test("two receivers do not run", async () => {
    const reply = linkPair((frame, from) => {
      if (frame[0] !== hello || from !== "sender") return frame;
      const value = decode(frame.subarray(1)) as Record<string, never>;
      return Uint8Array.of(hello, ...encode({ ...value, role: "receiver" }));
    });
    const [r] = await runBoth(reply, { items: left }, { items: right });
    expect(codeOf(r)).toBe("config-mismatch");
  });
  test.each<[string, Partial<PsiConfig>]>([
    ["maxItems of 0", { maxItems: 0 }],
    ["minItems over maxItems", { maxItems: 5, minItems: 6 }],
    ["no key column", { keys: { encoding: "x", columns: [] } }],
    ["an unknown mode", { mode: "sum" as "cardinality" }],
  ])("that make no sense are refused: %s", async (_, wrong) => {
    const bad = { ...config, ...wrong };
    const [r] = await runBoth(
      linkPair(() => undefined),
      { items: left, config: bad },
      { items: right, config: bad },
    );
    expect(codeOf(r)).toBe("invalid-argument");
  });
  test("an own set outside the size rule ends both sides", async () => {
    const small = { ...config, maxItems: 10 };
    const [r, s] = await runBoth(
      linkPair(),
      { items: left, config: small },
      { items: ["a"], config: small },
    );
    expect([codeOf(r), codeOf(s)]).toEqual(["size", "peer-aborted"]);
    const large = { ...config, minItems: 5 };
    const [r2, s2] = await runBoth(
      linkPair(),
      { items: left, config: large },
      { items: ["a"], config: large },
    );
    expect([codeOf(s2), codeOf(r2)]).toEqual(["size", "peer-aborted"]);
  });
});

describe("an end at any step", () => {
  const steps = 7; // hello, sizes, points, tags or bitmap, done, and behind them
  const run = async (tap: Tap, abort?: { side: Side; signal: AbortSignal }) => {
    const signal = (side: Side): Partial<PsiOptions> =>
      abort?.side === side ? { signal: abort.signal } : {};
    return await runBoth(
      linkPair(tap),
      { items: left, ...signal("receiver") },
      { items: right, ...signal("sender") },
    );
  };
  for (const side of ["receiver", "sender"] as const) {
    for (let step = 0; step < steps; step++) {
      test(`cancelled by the ${side} before its frame ${step}`, async () => {
        const controller = new AbortController();
        let frames = 0;
        const outcome = await run(
          (frame, from, index) => {
            if (from === side) frames = index + 1;
            if (from === side && index === step) controller.abort();
            return frame;
          },
          { side, signal: controller.signal },
        );
        if (frames <= step) return; // fewer frames than that: nothing was cancelled
        const own = outcome[side === "receiver" ? 0 : 1];
        const peer = outcome[side === "receiver" ? 1 : 0];
        // Cancelling behind the own `done` may come too late for either side.
        if (step < 4) {
          expect(codeOf(own)).toBe("aborted");
          expect(codeOf(peer)).toBe("peer-aborted");
        } else {
          expect(["aborted", "no error"]).toContain(codeOf(own));
        }
      });
      test(`the connection breaks at frame ${step} of the ${side}`, async () => {
        let cut = false;
        const outcome = await run((frame, from, index) => {
          if (from === side && index === step) {
            cut = true;
            return undefined;
          }
          return frame;
        });
        if (!cut) return;
        for (const settled of outcome) {
          expect(["connection-lost", "no error"]).toContain(codeOf(settled));
        }
        expect(outcome.map(codeOf)).toContain("connection-lost");
      });
    }
  }
  test("a failing input of one side ends the other, without its message", async () => {
    const broken = async function* () {
      yield* input(left.slice(0, 3));
      throw new Error("row 17: alice@example.org");
    };
    const pair = linkPair();
    const [r, s] = await runBoth(pair, { items: [], input: broken() }, { items: right });
    expect([codeOf(r), codeOf(s)]).toEqual(["failed", "peer-aborted"]);
    if (r.status === "rejected") expect(JSON.stringify(r.reason)).not.toContain("alice");
    if (s.status === "rejected") expect(String(s.reason)).toContain("failed");
    for (const { frame } of pair.frames)
      expect(Buffer.from(frame).toString()).not.toContain("alice");
  });
  test("a silent peer times out", async () => {
    const pair = linkPair();
    const { runRole } = await import("../src/index.ts");
    const silent = { ...pair.receiver };
    await expect(
      runRole("receiver", silent, { config, input: input(left), idleTimeoutMs: 30 }),
    ).rejects.toMatchObject({ code: "timeout" });
  }, 15_000);
  test("a signal that has fired already starts nothing", async () => {
    const pair = linkPair();
    const options = { signal: AbortSignal.abort() };
    const [r] = await runBoth(pair, { items: left, ...options }, { items: right, ...options });
    expect(codeOf(r)).toBe("aborted");
    expect(pair.frames).toEqual([]);
  });
  test("an honest run beside all these still works", async () => {
    const [r] = await runBoth(linkPair(), { items: left }, { items: right });
    expect(resultOf(r).matches).toBe(20);
  });
});
