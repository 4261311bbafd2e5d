/** Checkpoints: a run that was cut anywhere goes on or begins anew, and is exact; nothing else is multiplied. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom, toHex } from "@vivarium/core";
import { Secret, secretKeyWrapper } from "@vivarium/seal";
import { afterAll, describe, expect, test } from "vitest";
import {
  type Executor,
  inlineExecutor,
  type PsiCheckpoint,
  type PsiConfig,
  psiLimits,
  sealedCheckpoint,
} from "../src/index.ts";
import { codeOf, config, type LinkPair, linkPair, resultOf, runBoth, type Tap } from "./support.ts";

const made: string[] = [];
afterAll(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

const key = systemRandom().bytes(32);
const wrapper = secretKeyWrapper("state", new Secret(key));

interface Place {
  readonly directory: string;
  readonly checkpoint: PsiCheckpoint;
}

function place(): Place {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-resume-"));
  made.push(directory);
  return { directory, checkpoint: sealedCheckpoint({ directory, wrapper }) };
}

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `item-${from + i}`);
const left = range(0, 40);
const right = range(20, 50);

/** Cuts at the given frame of a side. */
const cutAt =
  (side: "receiver" | "sender", step: number): Tap =>
  (frame, from, index) =>
    from === side && index === step ? undefined : frame;

const pointFrames = ({ frames }: LinkPair): number =>
  frames.filter(({ frame }) => frame[0] === 3).length;

/** An executor that writes down what the scalar meets. */
function spied(log: { multiply: string[]; evaluate: string[] }): Executor {
  const inner = inlineExecutor();
  const split = (bytes: Uint8Array): string[] =>
    Array.from({ length: bytes.length / 32 }, (_, i) => toHex(bytes.subarray(32 * i, 32 * i + 32)));
  return {
    ...inner,
    multiply(scalar, points) {
      log.multiply.push(...split(points));
      return inner.multiply(scalar, points);
    },
    evaluate(scalar, points, session, width) {
      log.evaluate.push(...split(points));
      return inner.evaluate(scalar, points, session, width);
    },
  };
}

function frameOf(sent: LinkPair["frames"][number] | undefined): Uint8Array {
  if (sent === undefined) throw new Error("The frame was not sent.");
  return sent.frame;
}

async function interrupted(
  places: { receiver: Place; sender: Place },
  tap: Tap,
  settings: Partial<PsiConfig> = {},
): Promise<LinkPair> {
  const pair = linkPair(tap);
  const agreed = { ...config, ...settings };
  const { receiver, sender } = places;
  await runBoth(
    pair,
    { items: left, config: agreed, checkpoint: receiver.checkpoint },
    { items: right, config: agreed, checkpoint: sender.checkpoint },
  );
  return pair;
}

const both = () => ({ receiver: place(), sender: place() });
/** Cut behind the first round of both: hello, sizes and points have passed. */
const behindRoundOne = cutAt("sender", 3);

describe("a run that was cut", () => {
  for (const mode of ["intersection", "cardinality"] as const) {
    for (const side of ["receiver", "sender"] as const) {
      test.each([0, 1, 2, 3, 4])(`${mode}: at frame %i of the ${side}`, async (step) => {
        const places = both();
        await interrupted(places, cutAt(side, step), { mode });
        const saved = [places.receiver, places.sender].map(({ directory }) =>
          readdirSync(directory).includes("session.sealed"),
        );
        const pair = linkPair();
        const agreed = { ...config, mode };
        const [r, s] = (
          await runBoth(
            pair,
            { items: left, config: agreed, checkpoint: places.receiver.checkpoint },
            { items: right, config: agreed, checkpoint: places.sender.checkpoint },
          )
        ).map(resultOf);
        if (r === undefined || s === undefined) throw new Error("unreachable");
        expect([r.matches, s.matches]).toEqual([20, 20]);
        if (mode === "intersection") {
          expect([...(r.rows ?? [])]).toEqual(Array.from({ length: 20 }, (_, i) => 20 + i));
        }
        expect(r.transcript).toEqual(s.transcript);
        // It goes on exactly if both sides had saved the session.
        expect([r.resumed, s.resumed]).toEqual([saved[0] && saved[1], saved[0] && saved[1]]);
        expect(pointFrames(pair)).toBe(r.resumed ? 0 : 2);
      });
    }
  }

  test("goes on with the same session, scalar and points, and nothing else is multiplied", async () => {
    const places = both();
    const first = { multiply: [] as string[], evaluate: [] as string[] };
    const pair = linkPair(behindRoundOne);
    await runBoth(
      pair,
      { items: left, checkpoint: places.receiver.checkpoint, executor: spied(first) },
      { items: right, checkpoint: places.sender.checkpoint },
    );
    const session = await places.receiver.checkpoint.load();
    const sent = pair.frames.find(({ from, frame }) => from === "sender" && frame[0] === 3);
    // A host may restore the checkpoint as often as it likes.
    for (let time = 0; time < 3; time++) {
      const log = { multiply: [] as string[], evaluate: [] as string[] };
      const [r, s] = await runBoth(
        linkPair(time < 2 ? cutAt("receiver", 3) : undefined),
        { items: left, checkpoint: places.receiver.checkpoint, executor: spied(log) },
        { items: right, checkpoint: places.sender.checkpoint },
      );
      expect(log.multiply).toEqual([]);
      expect(log.evaluate.join("")).toBe(toHex(frameOf(sent).subarray(1)));
      if (time < 2) continue;
      expect(resultOf(r)).toMatchObject({ matches: 20, resumed: true, session: session?.id });
      expect(resultOf(s)).toMatchObject({ matches: 20, resumed: true });
    }
  });

  test("begins anew with another scalar if one side has lost its checkpoint", async () => {
    for (const lost of ["receiver", "sender"] as const) {
      const places = both();
      await interrupted(places, behindRoundOne);
      const before = await places.receiver.checkpoint.load();
      await places[lost].checkpoint.clear();
      const pair = linkPair();
      const [r] = await runBoth(
        pair,
        { items: left, checkpoint: places.receiver.checkpoint },
        { items: right, checkpoint: places.sender.checkpoint },
      );
      expect(resultOf(r)).toMatchObject({ matches: 20, resumed: false });
      expect(pointFrames(pair)).toBe(2);
      const after = await places.receiver.checkpoint.load();
      expect(after?.id).toBeDefined();
      if (before === undefined || after === undefined) throw new Error("unreachable");
      expect(after.id).not.toEqual(before.id);
      expect(after.scalar.equals(before.scalar)).toBe(false);
    }
  });

  test("begins anew if the two sides have checkpoints of different sessions", async () => {
    const [one, two] = [both(), both()];
    await interrupted(one, behindRoundOne);
    await interrupted(two, behindRoundOne);
    const [r, s] = await runBoth(
      linkPair(),
      { items: left, checkpoint: one.receiver.checkpoint },
      { items: right, checkpoint: two.sender.checkpoint },
    );
    expect(resultOf(r)).toMatchObject({ matches: 20, resumed: false });
    expect(resultOf(s).resumed).toBe(false);
  });

  test("takes up its tags where they were kept", async () => {
    const places = both();
    const many = range(0, psiLimits.segmentItems + 4_096);
    const few = ["item-5", "item-70000", "nothing"];
    const controller = new AbortController();
    const { checkpoint } = places.receiver;
    const stopping: PsiCheckpoint = {
      ...checkpoint,
      async saveTags(...segment) {
        await checkpoint.saveTags(...segment);
        controller.abort();
      },
    };
    const agreed = { ...config, resultTo: "receiver" as const };
    const [cut] = await runBoth(
      linkPair(),
      { items: few, config: agreed, checkpoint: stopping, signal: controller.signal },
      { items: many, config: agreed, checkpoint: places.sender.checkpoint },
    );
    expect(codeOf(cut)).toBe("aborted");
    const log = { multiply: [] as string[], evaluate: [] as string[] };
    const [r] = await runBoth(
      linkPair(),
      { items: few, config: agreed, checkpoint, executor: spied(log) },
      { items: many, config: agreed, checkpoint: places.sender.checkpoint },
    );
    expect(resultOf(r)).toMatchObject({ matches: 1, resumed: true });
    expect(log.evaluate.length).toBe(4_096);
  }, 60_000);
});

describe("a checkpoint is refused", () => {
  test("for another configuration or role, before the peer hears of it, and is kept", async () => {
    const places = both();
    await interrupted(places, behindRoundOne);
    const pair = linkPair();
    const other = { ...config, minItems: 1 };
    const [r] = await runBoth(
      pair,
      { items: left, config: other, checkpoint: places.receiver.checkpoint },
      { items: right, config: other },
    );
    expect(codeOf(r)).toBe("checkpoint");
    expect(pair.frames.filter(({ from }) => from === "receiver")).toMatchObject([
      { frame: expect.objectContaining({ 0: 8 }) },
    ]);
    const [swapped] = await runBoth(
      linkPair(),
      { items: left, checkpoint: places.sender.checkpoint },
      { items: right },
    );
    expect(codeOf(swapped)).toBe("checkpoint");
    expect(await places.receiver.checkpoint.load()).toBeDefined();
  });

  test("for another input, and is kept", async () => {
    const places = both();
    await interrupted(places, behindRoundOne);
    const [r, s] = await runBoth(
      linkPair(),
      { items: [...left.slice(1), "new"], checkpoint: places.receiver.checkpoint },
      { items: right, checkpoint: places.sender.checkpoint },
    );
    expect([codeOf(r), codeOf(s)]).toEqual(["checkpoint", "peer-aborted"]);
    expect(await places.receiver.checkpoint.load()).toBeDefined();
  });

  test("under another key, changed anywhere, or cut off", async () => {
    const { receiver } = await (async () => {
      const places = both();
      await interrupted(places, behindRoundOne);
      return places;
    })();
    const refused = expect.objectContaining({ code: "checkpoint" });
    const { directory } = receiver;
    const other = secretKeyWrapper("state", new Secret(systemRandom().bytes(32)));
    await expect(sealedCheckpoint({ directory, wrapper: other }).load()).rejects.toThrow(refused);
    const path = join(directory, "session.sealed");
    const whole = readFileSync(path);
    for (let at = 3; at < whole.length; at += 97) {
      const altered = Uint8Array.from(whole);
      altered[at] = (altered[at] as number) ^ 1;
      writeFileSync(path, altered);
      await expect(receiver.checkpoint.load()).rejects.toThrow(refused);
    }
    writeFileSync(path, whole.subarray(0, whole.length - 1));
    await expect(receiver.checkpoint.load()).rejects.toThrow(refused);
  });

  test("from a peer that only knows its tag", async () => {
    const places = both();
    await interrupted(places, behindRoundOne);
    const tap: Tap = (frame, from) => {
      if (from === "sender" && frame[0] === 9) {
        frame[frame.length - 1] = (frame[frame.length - 1] as number) ^ 1;
      }
      return frame;
    };
    const pair = linkPair(tap);
    const [r] = await runBoth(
      pair,
      { items: left, checkpoint: places.receiver.checkpoint },
      { items: right, checkpoint: places.sender.checkpoint },
    );
    expect(codeOf(r)).toBe("checkpoint");
    expect(pointFrames(pair)).toBe(0);
  });
});

test("nothing of a session lies on disk in the clear, and clear leaves nothing", async () => {
  const places = both();
  const pair = await interrupted(places, behindRoundOne);
  const { directory, checkpoint } = places.receiver;
  const saved = await checkpoint.load();
  if (saved === undefined) throw new Error("unreachable");
  const der = saved.scalar.export({ format: "der", type: "pkcs8" });
  const file = readFileSync(join(directory, "session.sealed")).toString("hex");
  const point = pair.frames.find(({ from, frame }) => from === "sender" && frame[0] === 3)?.frame;
  for (const secret of [
    new Uint8Array(der.subarray(-32)),
    saved.id,
    saved.inputDigest,
    (point as Uint8Array).subarray(1, 33),
  ]) {
    expect(file).not.toContain(toHex(secret));
  }
  await checkpoint.clear();
  expect(readdirSync(directory)).toEqual([]);
  expect(await checkpoint.load()).toBeUndefined();
});
