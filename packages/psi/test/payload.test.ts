/** Modes labels and sum: exact, for common items only, of one length on the wire, and refused when altered. */
import { fromHex, utf8 } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decimalText,
  type Executor,
  inlineExecutor,
  type PsiBatch,
  type PsiConfig,
} from "../src/index.ts";
import { parseDecimal } from "../src/payload.ts";
import { batchOf, codeOf, config, linkPair, resultOf, runBoth, type Tap } from "./support.ts";

const labelled: PsiConfig = {
  ...config,
  mode: "labels",
  resultTo: "receiver",
  labels: { columns: ["vendor"], maxBytes: 40 },
};
const summed: PsiConfig = {
  ...config,
  mode: "sum",
  resultTo: "receiver",
  sum: { column: "amount", decimals: 2, minMatches: 1 },
};

type Pair = readonly [item: string, payload: string];

async function* table(pairs: readonly Pair[], size = 50): AsyncGenerator<PsiBatch> {
  for (let i = 0; i < pairs.length; i += size) {
    const some = pairs.slice(i, i + size);
    const { bytes, offsets } = batchOf(some.map(([, payload]) => payload));
    yield {
      ...batchOf(
        some.map(([item]) => item),
        i,
      ),
      payload: { bytes, offsets },
    };
  }
}

async function run(
  agreed: PsiConfig,
  receiver: readonly string[],
  sender: readonly Pair[],
  tap?: Tap,
) {
  const pair = linkPair(tap);
  const trust = agreed.mode === "sum" ? ({ teeTrust: "accepted" } as const) : {};
  const [r, s] = await runBoth(
    pair,
    { items: receiver, config: agreed },
    { items: [], input: table(sender), config: agreed, ...trust },
  );
  return { pair, r, s };
}

/** Row and label of every row of the receiver that matched. */
function labelsOf(settled: Awaited<ReturnType<typeof run>>["r"]): [number, string][] {
  const { rows, labels } = resultOf(settled);
  if (rows === undefined || labels === undefined) throw new Error("There are no labels.");
  return Array.from(rows, (row, i) => [
    row,
    Buffer.from(labels.bytes.subarray(labels.offsets[i], labels.offsets[i + 1])).toString(),
  ]);
}

const sender: readonly Pair[] = Array.from({ length: 120 }, (_, i) => [
  `item-${i}`,
  `Vendor ${"x".repeat(i % 30)} ${i}`,
]);

describe("labels", () => {
  test("of every matching row, duplicates and empty labels included", async () => {
    const { r, s } = await run(
      labelled,
      ["item-3", "none", "item-7", "item-3", ""],
      [...sender, ["item-7", "a second label of the same item"], ["", ""]],
    );
    expect(labelsOf(r)).toEqual([
      [0, sender[3]?.[1]],
      [2, sender[7]?.[1]],
      [3, sender[3]?.[1]],
      [4, ""],
    ]);
    expect(resultOf(r)).toMatchObject({ matches: 3, mode: "labels" });
    expect(resultOf(s)).toMatchObject({ matches: undefined, rows: undefined });
    expect(resultOf(r).transcript).toEqual(resultOf(s).transcript);
  });

  test("are exact for random sets", async () => {
    const items = fc.array(
      fc.nat(25).map((i) => `item-${i}`),
      { maxLength: 30 },
    );
    const pairs = fc.array(
      fc.tuple(
        fc.nat(25).map((i) => `item-${i}`),
        fc.string({ maxLength: 10 }),
      ),
      { maxLength: 30 },
    );
    await fc.assert(
      fc.asyncProperty(items, pairs, async (own, theirs) => {
        const { r } = await run(labelled, own, theirs);
        const first = new Map<string, string>();
        for (const [item, label] of theirs) if (!first.has(item)) first.set(item, label);
        expect(labelsOf(r)).toEqual(
          own.flatMap((item, row) => (first.has(item) ? [[row, first.get(item)]] : [])),
        );
      }),
      { numRuns: 15 },
    );
  });

  test("over several frames", async () => {
    const many: Pair[] = Array.from({ length: 2_500 }, (_, i) => [`item-${i}`, `label ${i}`]);
    const { r } = await run(labelled, many.map(([item]) => item).reverse(), many);
    expect(labelsOf(r)).toEqual(many.map(([, label], i) => [2_499 - i, label] as const).reverse());
  });

  test("stand on the wire sealed, all of one length, in an order of their own", async () => {
    for (let time = 0; time < 2; time++) {
      const { pair, r } = await run(labelled, ["item-5"], sender.slice(0, 8));
      expect(labelsOf(r)).toEqual([[0, sender[5]?.[1]]]);
      const frames = pair.frames.filter(({ frame }) => frame[0] === 11);
      expect(frames.map(({ frame }) => frame.length)).toEqual([1 + 8 * (10 + 2 + 40 + 16)]);
      for (const { frame } of pair.frames) {
        expect(Buffer.from(frame).toString("latin1")).not.toContain("Vendor");
      }
      // The receiver's points are the only ones that move towards the sender, and back.
      expect(pair.frames.filter(({ frame }) => frame[0] === 3)).toHaveLength(1);
    }
    // What the sender seals, in the order in which it seals it.
    const sealed: string[] = [];
    const inner = inlineExecutor();
    const executor: Executor = {
      ...inner,
      seal(keys, payloads, bytes) {
        for (let at = 0; at < payloads.length; at += bytes) {
          const length = payloads[at + 1] as number;
          sealed.push(Buffer.from(payloads.subarray(at + 2, at + 2 + length)).toString());
        }
        return inner.seal(keys, payloads, bytes);
      },
    };
    await runBoth(
      linkPair(),
      { items: ["item-5"], config: labelled },
      { items: [], input: table(sender), config: labelled, executor },
    );
    const labels = sender.map(([, label]) => label);
    expect(sealed).not.toEqual(labels);
    expect([...sealed].sort()).toEqual([...labels].sort());
  });

  test("that are too long are refused by row, without the text", async () => {
    const { s } = await run(
      labelled,
      ["a"],
      [
        ["a", "fits"],
        ["b", "secret".repeat(10)],
      ],
    );
    expect(codeOf(s)).toBe("invalid-argument");
    if (s.status === "rejected") {
      expect(String(s.reason)).toContain("row 1");
      expect(String(s.reason)).not.toContain("secret");
    }
  });
});

describe("sums", () => {
  test("are exact, with duplicates, missing values, signs and decimals", async () => {
    const { r, s } = await run(
      summed,
      ["a", "b", "c", "d", "d", "x"],
      [
        ["a", "10.50"],
        ["b", "-0.05"],
        ["b", "3"],
        ["c", ""],
        ["d", "+0.10"],
        ["z", "1000000"],
      ],
    );
    const result = resultOf(r);
    expect(result).toMatchObject({ matches: 4, rows: undefined });
    expect(result.statistics).toEqual({
      values: 4,
      sum: 1355n,
      sumOfSquares: 1050n ** 2n + 25n + 300n ** 2n + 100n,
      decimals: 2,
    });
    expect(decimalText(result.statistics?.sum ?? 0n, 2)).toBe("13.55");
    expect(resultOf(s).statistics).toBeUndefined();
  });

  test("need the agreed number of common items, or there is none", async () => {
    const strict = { ...summed, sum: { column: "amount", decimals: 0, minMatches: 3 } };
    const pairs: Pair[] = [
      ["a", "1"],
      ["b", "2"],
      ["c", "3"],
    ];
    const { r, s } = await run(strict, ["a", "b", "q"], pairs);
    expect([codeOf(r), codeOf(s)]).toEqual(["too-few-matches", "peer-aborted"]);
    expect(resultOf((await run(strict, ["a", "b", "c"], pairs)).r).statistics?.sum).toBe(6n);
  });

  test("need the sender's word that the receiver's TEE may be trusted, and not the receiver's", async () => {
    const pair = linkPair();
    const [, s] = await runBoth(
      pair,
      { items: ["a"], config: summed, idleTimeoutMs: 50 },
      { items: [], input: table([["a", "1"]]), config: summed },
    );
    expect(codeOf(s)).toBe("not-allowed");
    expect(pair.frames.filter(({ from }) => from === "sender")).toEqual([]);
  });

  test.each(["1e3", "0x10", "1,5", "1.234", "9007199254740993", " 12", "NaN", "--1", "1.", ".5"])(
    "refuse %s by row, without the value",
    async (text) => {
      const { s } = await run(
        summed,
        ["a"],
        [
          ["q", "1"],
          ["a", text],
        ],
      );
      expect(codeOf(s)).toBe("invalid-argument");
      if (s.status === "rejected") {
        expect(String(s.reason)).toContain("row 1");
        expect(String(s.reason)).not.toContain(`${text} `);
      }
    },
  );

  test("numbers as text and back", () => {
    fc.assert(
      fc.property(
        fc.bigInt(-(2n ** 52n), 2n ** 52n),
        fc.integer({ min: 0, max: 9 }),
        (value, decimals) => {
          expect(parseDecimal(utf8(decimalText(value, decimals)), decimals)).toBe(value);
        },
      ),
    );
  });
});

describe("a sender that alters what it sends", () => {
  const size = 10 + 2 + 40 + 16;
  const payloads = 11;
  const evaluated = 10;
  const edit =
    (type: number, change: (frame: Uint8Array) => Uint8Array): Tap =>
    (frame, from) =>
      from === "sender" && frame[0] === type ? change(frame) : frame;
  test.each<[string, string, Tap]>([
    [
      "a bit of a sealed label",
      "protocol",
      edit(payloads, (frame) => {
        for (let at = 1; at < frame.length; at += size)
          frame[at + 20] = (frame[at + 20] as number) ^ 1;
        return frame;
      }),
    ],
    [
      "labels of two items exchanged",
      "protocol",
      edit(payloads, (frame) => {
        const first = frame.slice(11, 1 + size);
        frame.copyWithin(11, 11 + size, 1 + 2 * size);
        frame.set(first, 11 + size);
        return frame;
      }),
    ],
    [
      "one item twice",
      "duplicate-point",
      edit(payloads, (frame) => {
        frame.copyWithin(1 + size, 1, 1 + size);
        return frame;
      }),
    ],
    [
      "a record less",
      "protocol",
      edit(payloads, (frame) => frame.subarray(0, frame.length - size)),
    ],
    [
      "a point of small order",
      "invalid-point",
      edit(evaluated, (frame) => {
        frame.set(fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), 33);
        return frame;
      }),
    ],
    ["a point less", "protocol", edit(evaluated, (frame) => frame.subarray(0, frame.length - 32))],
    [
      "points exchanged",
      "transcript-mismatch",
      edit(evaluated, (frame) => {
        const first = frame.slice(1, 33);
        frame.copyWithin(1, 33, 65);
        frame.set(first, 33);
        return frame;
      }),
    ],
  ])("%s: %s", async (_, code, tap) => {
    const pairs = sender.slice(0, 6);
    const { r } = await run(
      labelled,
      pairs.map(([item]) => item),
      pairs,
      tap,
    );
    expect(codeOf(r)).toBe(code);
  });
});

describe("configurations", () => {
  test.each<[string, Partial<PsiConfig>]>([
    ["labels without their columns", { mode: "labels", resultTo: "receiver" }],
    ["sum with labels", { ...summed, labels: { columns: ["x"], maxBytes: 3 } }],
    ["intersection with a sum", { ...summed, mode: "intersection" }],
    ["labels to both", { ...labelled, resultTo: "both" }],
    ["labels by keyed hashes", { ...labelled, protocol: "attested" }],
    ["labels of nothing", { ...labelled, labels: { columns: [], maxBytes: 3 } }],
    ["ten decimals", { ...summed, sum: { column: "x", decimals: 10, minMatches: 1 } }],
    ["no minimum", { ...summed, sum: { column: "x", decimals: 0, minMatches: 0 } }],
  ])("%s are refused", async (_, wrong) => {
    const bad = { ...config, ...wrong };
    const [r] = await runBoth(
      linkPair(() => undefined),
      { items: ["a"], config: bad, teeTrust: "accepted" },
      { items: ["a"], config: bad, teeTrust: "accepted" },
    );
    expect(codeOf(r)).toBe("invalid-argument");
  });

  test("that differ in the bound of a label are named", async () => {
    const [r] = await runBoth(
      linkPair(),
      { items: ["a"], config: labelled },
      { items: ["a"], config: { ...labelled, labels: { columns: ["vendor"], maxBytes: 41 } } },
    );
    expect(codeOf(r)).toBe("config-mismatch");
    if (r.status === "rejected") expect(String(r.reason)).toContain("labels.maxBytes");
  });
});
