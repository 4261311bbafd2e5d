import { toHex, utf8 } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Executor, PsiConfig, PsiProgress } from "../src/index.ts";
import { inlineExecutor } from "../src/index.ts";
import { config, input, linkPair, resultOf, runBoth } from "./support.ts";

const protocols = ["ecdh", "attested"] as const;
const modes = ["intersection", "cardinality"] as const;
const targets = ["receiver", "both"] as const;

/** Rows of `own` whose item is in `other`, and how many distinct items that is. */
function oracle(own: readonly string[], other: readonly string[]): [number[], number] {
  const set = new Set(other);
  const rows = own.flatMap((item, row) => (set.has(item) ? [row] : []));
  return [rows, new Set(own.filter((item) => set.has(item))).size];
}

async function expectExact(
  a: readonly string[],
  b: readonly string[],
  settings: Partial<PsiConfig>,
): Promise<void> {
  const agreed = { ...config, ...settings };
  const pair = linkPair();
  const [r, s] = (
    await runBoth(
      pair,
      { items: a, config: agreed, teeTrust: "accepted" },
      { items: b, config: agreed, teeTrust: "accepted" },
    )
  ).map(resultOf);
  if (r === undefined || s === undefined) throw new Error("unreachable");
  const [rows, count] = oracle(a, b);
  expect(r.matches).toBe(count);
  expect(s.matches).toBe(agreed.resultTo === "both" ? count : undefined);
  const shown = agreed.mode === "intersection";
  expect(r.rows && [...r.rows]).toEqual(shown ? rows : undefined);
  expect(s.rows && [...s.rows]).toEqual(
    shown && agreed.resultTo === "both" ? oracle(b, a)[0] : undefined,
  );
  expect(toHex(r.transcript)).toBe(toHex(s.transcript));
  expect(toHex(r.session)).toBe(toHex(s.session));
  expect([r.items, r.peerItems]).toEqual([s.peerItems, s.items]);
  expect([r.bytesSent, r.bytesReceived]).toEqual([s.bytesReceived, s.bytesSent]);
  expect(r.keys).toBe(a.length);
}

const item = (i: number): string => `item-${i}`;
const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => item(from + i));

const variants = protocols.flatMap((protocol) => modes.map((mode) => [protocol, mode] as const));
for (const [protocol, mode] of variants) {
  for (const resultTo of targets) {
    describe(`${protocol}, ${mode}, result to ${resultTo}`, () => {
      test.each<[string, string[], string[]]>([
        ["both empty", [], []],
        ["an empty receiver", [], range(0, 3)],
        ["an empty sender", range(0, 3), []],
        ["disjoint sets", range(0, 20), range(20, 40)],
        ["equal sets", range(0, 17), range(0, 17)],
        ["unequal sizes", range(0, 2), range(1, 60)],
        ["duplicates", ["x", "y", "x", "x", "z"], ["x", "x", "q", "z", "q"]],
        ["unicode and the empty item", ["ä", "a\u0308", "日本", "", "\u0000"], ["日本", "ä", ""]],
      ])("is exact for %s", async (_, a, b) => {
        await expectExact(a, b, { protocol, mode, resultTo });
      });
      test("is exact for random sets", async () => {
        const items = fc.array(fc.oneof(fc.nat(30).map(item), fc.string({ unit: "grapheme" })), {
          maxLength: 40,
        });
        await fc.assert(
          fc.asyncProperty(items, items, (a, b) => expectExact(a, b, { protocol, mode, resultTo })),
          { numRuns: 12 },
        );
      });
    });
  }
}

test("is exact over several frames and batches", async () => {
  await expectExact(range(0, 2500), range(1500, 4100), {});
  await expectExact(range(0, 2049), range(1, 2100), { mode: "cardinality" });
  await expectExact(range(0, 2500), range(1500, 4100), { protocol: "attested" });
}, 60_000);

test("the reference engine gives the same result", async () => {
  const [r] = await runBoth(
    linkPair(),
    { items: range(0, 12), executor: inlineExecutor("noble") },
    { items: range(6, 20), executor: inlineExecutor("node") },
  );
  expect([...(resultOf(r).rows ?? [])]).toEqual([6, 7, 8, 9, 10, 11]);
});

test("a side that is busy for longer than the other waits is heard all the same", async () => {
  const slow = async function* () {
    await new Promise((resolve) => setTimeout(resolve, 700));
    yield* input(["a", "b"]);
  };
  const pair = linkPair();
  const [r, s] = await runBoth(
    pair,
    { items: ["b", "c"], idleTimeoutMs: 240 },
    { items: [], input: slow(), idleTimeoutMs: 240 },
  );
  expect(resultOf(r)).toMatchObject({ matches: 1 });
  expect(resultOf(r).bytesReceived).toBe(resultOf(s).bytesSent);
  expect(pair.frames.filter(({ frame }) => frame[0] === 12).length).toBeGreaterThan(1);
});

test("duplicates: first keeps one row of each item", async () => {
  const [r] = await runBoth(
    linkPair(),
    { items: ["x", "y", "x", "z", "z"], duplicates: "first" },
    { items: ["z", "x"] },
  );
  expect([...(resultOf(r).rows ?? [])]).toEqual([0, 3]);
});

test("progress: every phase, rising, up to its total", async () => {
  const events: PsiProgress[] = [];
  await runBoth(
    linkPair(),
    { items: range(0, 2100), inputKeys: 2100, onProgress: (event) => events.push(event) },
    { items: range(0, 100) },
  );
  for (const [phase, total] of [
    ["hash", 2100],
    ["mask", 2100],
    ["receive", 100],
    ["evaluate", 100],
    ["match", 2100],
  ]) {
    const of = events.filter((event) => event.phase === phase);
    expect(of.at(-1)).toMatchObject({ done: total, total });
    for (const [i, event] of of.entries()) {
      expect(event.done).toBeGreaterThanOrEqual(of[i - 1]?.done ?? 0);
    }
  }
  expect(events[0]?.phase).toBe("waiting");
}, 30_000);

describe("what is on the wire", () => {
  test("no item, no hashed item, and nothing twice in two runs", async () => {
    const items = range(0, 200);
    const seen = new Set<string>();
    for (let run = 0; run < 2; run++) {
      const pair = linkPair();
      await runBoth(pair, { items }, { items });
      for (const { frame } of pair.frames) {
        const text = Buffer.from(frame).toString("latin1");
        for (const one of items)
          expect(text).not.toContain(Buffer.from(utf8(one)).toString("latin1"));
        if (frame[0] !== 3 && frame[0] !== 4) continue;
        const width = frame[0] === 3 ? 32 : 10;
        for (let at = 1; at < frame.length; at += width) {
          const record = Buffer.from(frame.subarray(at, at + width)).toString("hex");
          expect(seen.has(record)).toBe(false);
          seen.add(record);
        }
      }
    }
    // 2 runs x (200 + 200 points + 200 tags)
    expect(seen.size).toBe(1200);
  });

  test("two runs over one channel have different sessions", async () => {
    const pair = linkPair();
    const again = { receiver: pair.receiver.exportKey, sender: pair.sender.exportKey };
    const [first] = await runBoth(pair, { items: ["a"] }, { items: ["a"] });
    const next = linkPair();
    const reused = {
      frames: next.frames,
      receiver: { ...next.receiver, exportKey: again.receiver },
      sender: { ...next.sender, exportKey: again.sender },
    };
    const [second] = await runBoth(reused, { items: ["a"] }, { items: ["a"] });
    expect(toHex(resultOf(first).session)).not.toBe(toHex(resultOf(second).session));
  });

  test("both sides' points are permuted as a whole, differently each time", async () => {
    // Same set on both sides and a bitmap of all ones cannot show it; a single common item can:
    // its place in the bitmap is its place in the sender's list.
    const places = new Map<number, number>();
    const runs = 60;
    for (let run = 0; run < runs; run++) {
      const pair = linkPair();
      await runBoth(pair, { items: ["item-0"] }, { items: range(0, 8) });
      const bitmap = pair.frames.find(({ frame }) => frame[0] === 5)?.frame[1] as number;
      const place = Math.log2(bitmap);
      places.set(place, (places.get(place) ?? 0) + 1);
    }
    // Unpermuted it would be place 0 in all 60 runs; a fair place has 7.5 ± 2.6.
    expect(places.size).toBeGreaterThanOrEqual(6);
    expect(Math.max(...places.values())).toBeLessThan(25);
  }, 30_000);

  /** Records what passes through an executor, 32-byte or 10-byte records in hex. */
  function spied(log: { hash: string[]; multiply: string[]; evaluate: string[] }): Executor {
    const inner = inlineExecutor("node");
    const split = (bytes: Uint8Array, width: number): string[] =>
      Array.from({ length: bytes.length / width }, (_, i) =>
        toHex(bytes.subarray(i * width, (i + 1) * width)),
      );
    return {
      ...inner,
      async hash(...task) {
        const out = await inner.hash(...task);
        log.hash.push(...split(out, 32));
        return out;
      },
      multiply(scalar, points) {
        log.multiply.push(...split(points, 32));
        return inner.multiply(scalar, points);
      },
      async evaluate(...task) {
        const out = await inner.evaluate(...task);
        log.evaluate.push(...split(out, task[3]));
        return out;
      },
    };
  }
  const empty = () => ({
    hash: [] as string[],
    multiply: [] as string[],
    evaluate: [] as string[],
  });

  test.each(["receiver", "sender"] as const)(
    "the %s masks in an order of its own",
    async (role) => {
      const log = empty();
      const items = range(0, 100);
      const spy = { items, executor: spied(log) };
      await (role === "receiver"
        ? runBoth(linkPair(), spy, { items })
        : runBoth(linkPair(), { items }, spy));
      expect(log.multiply).not.toEqual(log.hash);
      expect([...log.multiply].sort()).toEqual([...log.hash].sort());
    },
  );

  test.each(modes)("in mode %s tags leave in the order that it promises", async (mode) => {
    const log = empty();
    const agreed = { ...config, mode };
    const pair = linkPair();
    const items = range(0, 100);
    await runBoth(pair, { items, config: agreed }, { items, config: agreed, executor: spied(log) });
    const sent = pair.frames
      .filter(({ frame }) => frame[0] === 4)
      .flatMap(({ frame }) =>
        Array.from({ length: (frame.length - 1) / 10 }, (_, i) =>
          toHex(frame.subarray(1 + 10 * i, 11 + 10 * i)),
        ),
      );
    expect([...sent].sort()).toEqual([...log.evaluate].sort());
    // In cardinality mode the receiver must not know which of its items a tag belongs to.
    if (mode === "cardinality") expect(sent).not.toEqual(log.evaluate);
    else expect(sent).toEqual(log.evaluate);
  });
});
