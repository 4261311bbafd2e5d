/** Protocol `attested`: what it needs, what it shows, and what it refuses. */
import type { Policy, PolicyRecord } from "@vivarium/attestation";
import { toHex } from "@vivarium/core";
import { describe, expect, test } from "vitest";
import { keyedTagBytes, sessionKey } from "../src/attested.ts";
import { configDigest, type PsiConfig, teeTrustOf } from "../src/index.ts";
import { codeOf, config, linkPair, resultOf, runBoth, type Tap } from "./support.ts";

const attested: PsiConfig = { ...config, protocol: "attested" };
const side = { config: attested, teeTrust: "accepted" } as const;
const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `item-${from + i}`);
/** 40 + log2(100,000 * 200,000) = 74.2 bits. */
const width = 10;

describe("the policy's word", () => {
  test("is needed by either side, before the peer hears of it", async () => {
    for (const [receiver, sender] of [
      [{ config: attested }, side],
      [side, { config: attested }],
    ] as const) {
      const pair = linkPair(() => undefined);
      const outcome = await runBoth(
        pair,
        { items: range(0, 3), ...receiver },
        { items: range(0, 3), ...sender },
      );
      expect(outcome.map(codeOf)).toContain("not-allowed");
      expect(pair.frames).toEqual([]);
    }
  });

  test("is given by every record of the peer's role, or not at all", () => {
    const record = (allow?: readonly string[]): PolicyRecord => ({
      type: "simulated",
      isolation: "simulated",
      binding: "session",
      measurements: {},
      minimumSvn: {},
      tcb: ["UpToDate"],
      debug: false,
      maxAgeSeconds: 60,
      ...(allow === undefined ? {} : { allow }),
    });
    const policy = (...accept: PolicyRecord[]): Policy => ({
      version: 1,
      name: "test",
      roles: { sender: { identities: [], accept } },
    });
    const yes = record(["other.name", "psi.attested"]);
    expect(teeTrustOf(policy(yes), "sender")).toBe("accepted");
    expect(teeTrustOf(policy(yes, yes), "sender")).toBe("accepted");
    expect(teeTrustOf(policy(yes, record()), "sender")).toBeUndefined();
    expect(teeTrustOf(policy(record(["psi.attestedx"])), "sender")).toBeUndefined();
    expect(teeTrustOf(policy(), "sender")).toBeUndefined();
    expect(teeTrustOf(policy(yes), "receiver")).toBeUndefined();
  });

  test("a side that wants the curve does not get this instead", async () => {
    const outcome = await runBoth(linkPair(), { items: ["a"], ...side }, { items: ["a"] });
    expect(outcome.map(codeOf)).toEqual(["config-mismatch", "config-mismatch"]);
    expect(configDigest(attested)).not.toEqual(configDigest(config));
    expect(configDigest({ ...config, protocol: "ecdh" })).toEqual(configDigest(config));
  });
});

describe("what is on the wire", () => {
  test("the sender's hashes only, none twice in two runs, and nothing of the receiver's set", async () => {
    const seen = new Set<string>();
    for (let run = 0; run < 2; run++) {
      const pair = linkPair();
      const [r] = await runBoth(
        pair,
        { items: range(0, 300), ...side },
        { items: range(100, 250), ...side },
      );
      expect(resultOf(r)).toMatchObject({ protocol: "attested", matches: 150 });
      const types = (from: string): number[] =>
        pair.frames.filter((one) => one.from === from).map(({ frame }) => frame[0] as number);
      expect(types("receiver")).toEqual([1, 2, 5, 7]);
      expect(types("sender")).toEqual([1, 2, 4, 7]);
      const tags = pair.frames.find(({ frame }) => frame[0] === 4)?.frame as Uint8Array;
      expect(tags.length).toBe(1 + 150 * width);
      for (let at = 1; at < tags.length; at += width) {
        seen.add(toHex(tags.subarray(at, at + width)));
      }
      expect(Buffer.from(tags).toString("latin1")).not.toContain("item");
    }
    expect(seen.size).toBe(300);
  });

  test("the sender's list is permuted as a whole", async () => {
    const places = new Set<number>();
    for (let run = 0; run < 40; run++) {
      const pair = linkPair();
      await runBoth(pair, { items: ["item-0"], ...side }, { items: range(0, 8), ...side });
      const bitmap = pair.frames.find(({ frame }) => frame[0] === 5)?.frame[1] as number;
      places.add(Math.log2(bitmap));
    }
    expect(places.size).toBeGreaterThanOrEqual(5);
  });
});

describe("a sender that does not follow the protocol", () => {
  const tags = 4;
  const edit =
    (change: (frame: Uint8Array) => Uint8Array): Tap =>
    (frame, from) =>
      from === "sender" && frame[0] === tags ? change(frame) : frame;
  test.each<[string, string, Tap]>([
    [
      "one matching hash twice",
      "duplicate-point",
      edit((frame) => {
        frame.copyWithin(1 + width, 1, 1 + width);
        return frame;
      }),
    ],
    ["a hash less", "protocol", edit((frame) => frame.subarray(0, frame.length - width))],
    ["a hash more", "protocol", edit((frame) => Uint8Array.of(...frame, ...new Uint8Array(width)))],
    ["half a hash", "protocol", edit((frame) => frame.subarray(0, frame.length - 5))],
    [
      "other hashes than it saw leave",
      "transcript-mismatch",
      edit((frame) => {
        frame[1] = (frame[1] as number) ^ 1;
        return frame;
      }),
    ],
  ])("sends %s: %s", async (_, code, tap) => {
    const items = range(0, 20);
    const [r] = await runBoth(linkPair(tap), { items, ...side }, { items, ...side });
    expect(codeOf(r)).toBe(code);
  });
});

test("the key is the channel's and the session's", () => {
  const { receiver, sender } = linkPair();
  const [one, two] = [new Uint8Array(32), new Uint8Array(32).fill(1)];
  expect(sessionKey(receiver, one).export()).toEqual(sessionKey(sender, one).export());
  expect(sessionKey(receiver, one).export()).not.toEqual(sessionKey(receiver, two).export());
  expect(sessionKey(receiver, one).export()).not.toEqual(
    sessionKey(linkPair().receiver, one).export(),
  );
});

test("hashes are long enough for the agreed sizes", () => {
  // ceil((40 + log2(2 maxItems^2)) / 8)
  expect([1, 100_000, 1_000_000, 10_000_000, 100_000_000].map(keyedTagBytes)).toEqual([
    10, 10, 11, 11, 12,
  ]);
});
