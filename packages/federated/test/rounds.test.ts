/** Rounds between attested parties: what comes out, and what happens when somebody does not play along. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as pathOf } from "node:path";
import { fileCounter, Secret, secretKeyWrapper } from "@vivarium/seal";
import { afterAll, describe, expect, test } from "vitest";
import { type AggregatorEvent, aggregate, runIdOf } from "../src/aggregator.ts";
import { type Journal, memoryJournal, sealedJournal } from "../src/journal.ts";
import { examplesOf } from "../src/learn/examples.ts";
import { linearTrainer } from "../src/learn/linear.ts";
import type { Trainer } from "../src/learn/trainer.ts";
import {
  type ParticipantMemory,
  sealedMemory,
  sealedState,
  volatileMemory,
} from "../src/memory.ts";
import { type FederatedPlan, readPlan } from "../src/plan.ts";
import { epsilonOf } from "../src/privacy/accountant.ts";
import { fileSpool, memorySpool } from "../src/spool.ts";
import { commitCall, fitStream, helloCall, vectorMessages } from "../src/wire.ts";
import {
  connect,
  hexOf,
  initial,
  join,
  party,
  plan,
  random,
  rowsOf,
  runAll,
  runOptions,
  sides,
  trainerOf,
} from "./support.ts";

const directories: string[] = [];
const fresh = (): string => {
  const directory = mkdtempSync(pathOf(tmpdir(), "vivarium-federated-"));
  directories.push(directory);
  return directory;
};
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

const wrapper = secretKeyWrapper("test", new Secret(new Uint8Array(32).fill(7)));
const stateAt = (directory: string, name: string) =>
  sealedState({
    path: pathOf(directory, `${name}.sealed`),
    wrapper,
    counter: fileCounter(directory),
    name,
  });

describe("a run", () => {
  test("learns, and gives receipts that chain", async () => {
    const receipts: Record<string, unknown>[] = [];
    const run = runOptions({
      onReceipt: async (_round, bytes) =>
        void receipts.push(JSON.parse(new TextDecoder().decode(bytes))),
    });
    const result = await runAll(run, await sides(3));
    expect(result.rounds).toBe(3);
    const losses = result.history.map(({ loss }) => loss);
    expect(losses).toHaveLength(3);
    expect(losses[2]).toBeLessThan(losses[0] as number);
    expect(result.history[2]?.accuracy).toBeGreaterThan(0.8);
    expect(result.history[2]?.examples).toBe(30);
    expect(receipts.map(({ round }) => round)).toEqual([1, 2, 3]);
    expect(receipts[0]?.["previous"]).toBe("");
    expect(receipts[1]?.["previous"]).toMatch(/^[0-9a-f]{64}$/);
    expect(receipts[1]?.["modelIn"]).toBe(receipts[0]?.["modelOut"]);
    expect(receipts[0]).toMatchObject({
      cohort: 3,
      strategy: "fedavg",
      rejected: {},
      epsilon: null,
    });
  });

  test("one full step of everybody is one step of central training, to 1e-5", async () => {
    const training = { epochs: 1, batchSize: 1000, learningRate: 0.3, l2: 0.01 };
    const shared = plan({ training, rounds: 4 });
    const result = await runAll(
      runOptions({ plan: shared }),
      await sides(3, () => ({ plan: shared })),
    );
    const rows = [0, 1, 2].flatMap((owner) => rowsOf(owner).slice(0, 30));
    const central = linearTrainer(2, examplesOf(rows, 4, 2), examplesOf([], 4, 2));
    let parameters: Float32Array = initial();
    for (let i = 0; i < 4; i++) {
      ({ parameters } = await central.fit(
        parameters,
        { ...training, proximalMu: 0, seed: i },
        new AbortController().signal,
      ));
    }
    // The best evaluation is the last here: the loss of a convex problem falls.
    expect(result.best?.round).toBe(4);
    for (const [i, value] of result.parameters.entries()) {
      expect(Math.abs(value - (parameters[i] as number))).toBeLessThan(1e-5);
    }
  });

  test.each([
    ["fedprox", { proximalMu: 0.1 }],
    ["fedavgm", { momentum: 0.5 }],
    ["fedadam", { serverLearningRate: 0.3 }],
    ["fedyogi", { serverLearningRate: 0.3 }],
    ["fedadagrad", { serverLearningRate: 0.3 }],
    ["scaffold", { population: 3 }],
    ["fednova", {}],
    ["qfedavg", { q: 0.1, lipschitz: 2 }],
    ["median", {}],
    ["trimmedmean", { beta: 0.34 }],
    ["krum", { byzantine: 0 }],
    ["bulyan", { byzantine: 0 }],
    ["geometricmedian", {}],
  ])("%s learns over channels as well", async (name, settings) => {
    const shared = plan({ strategy: { name, settings, clipNorm: null }, rounds: 4 });
    const result = await runAll(
      runOptions({ plan: shared }),
      await sides(3, () => ({ plan: shared })),
    );
    expect(result.rounds).toBe(4);
    expect(result.best?.loss).toBeLessThan(0.6);
  });

  test("stops when the loss no longer falls, and gives the best model", async () => {
    const shared = plan({
      rounds: 30,
      patience: 2,
      // Far too fast: it oscillates.
      training: { epochs: 3, batchSize: 4, learningRate: 40, l2: 0 },
    });
    const result = await runAll(
      runOptions({ plan: shared }),
      await sides(3, () => ({ plan: shared })),
    );
    expect(result.stoppedEarly).toBe(true);
    expect(result.rounds).toBeLessThan(30);
    expect(result.best?.round).toBeLessThanOrEqual(result.rounds - 2);
  });
});

/** A trainer that takes its time. */
const slow = (inner: Trainer, ms: number): Trainer => ({
  ...inner,
  fit: async (parameters, settings, signal) => {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return await inner.fit(parameters, settings, signal);
  },
});

describe("differential privacy", () => {
  const privacy = { clipNorm: 0.5, noiseMultiplier: 2, delta: 1e-5, maxEpsilon: 10 };

  test("receipts tell what is spent, the model is noisy, and a plan beyond its budget is refused", async () => {
    const shared = plan({ privacy });
    const receipts: Record<string, unknown>[] = [];
    const result = await runAll(
      runOptions({
        plan: shared,
        onReceipt: async (_round, bytes) =>
          void receipts.push(JSON.parse(new TextDecoder().decode(bytes))),
      }),
      await sides(3, () => ({ plan: shared })),
    );
    expect(receipts.map(({ epsilon }) => epsilon)).toEqual(
      [1, 2, 3].map((n) => epsilonOf(2, n, 1e-5)),
    );
    expect(receipts[0]?.["privacy"]).toMatchObject({ mechanism: "gaussian-float", clipNorm: 0.5 });
    // Noise of 0.5 · 2 / 3 on each of ten numbers in each round moves them.
    expect(Math.max(...result.parameters.map(Math.abs))).toBeGreaterThan(0.2);
    for (const bad of [
      { ...privacy, maxEpsilon: 1 },
      { ...privacy, noiseMultiplier: 0 },
      { ...privacy, delta: 1 },
      { ...privacy, clipNorm: 65 },
    ]) {
      expect(() => readPlan(plan({ privacy: bad }) as never)).toThrow(
        /privacy|noiseMultiplier|delta/,
      );
    }
    for (const name of ["median", "qfedavg", "fednova", "krum"]) {
      const strategy = { name, settings: name === "krum" ? { byzantine: 0 } : {}, clipNorm: null };
      expect(() => readPlan(plan({ privacy, strategy }) as never)).toThrow(/cannot be combined/);
    }
    const scaffolded = { name: "scaffold", settings: { population: 3 }, clipNorm: null };
    expect(() => readPlan(plan({ privacy, strategy: scaffolded }) as never)).toThrow(
      /cannot be combined/,
    );
  });

  test("one participant moves the sum by no more than the bound", async () => {
    // Without noise to speak of, and one that sends far more than the others.
    const quiet = { ...privacy, noiseMultiplier: 0.011, maxEpsilon: 1e6 };
    const shared = plan({ privacy: quiet, rounds: 1 });
    const loud = (trainer: Trainer): Trainer => ({
      ...trainer,
      fit: async (p, ...rest) => ({
        ...(await trainer.fit(p, ...rest)),
        parameters: p.map(() => 60),
      }),
    });
    const result = await runAll(
      runOptions({ plan: shared }),
      await sides(3, (i) => ({
        plan: shared,
        trainer: i === 0 ? loud(trainerOf(0)) : trainerOf(i),
      })),
    );
    const length = Math.sqrt(result.parameters.reduce((sum, value) => sum + value * value, 0));
    expect(length).toBeLessThan(0.5 + 0.1);
  });
});

describe("participants that do not play along", () => {
  test("another plan is refused, and every difference named", async () => {
    const other = plan({ rounds: 9, training: { ...plan().training, learningRate: 5 } });
    const [side] = await sides(1, () => ({ plan: other }));
    const joined = join(
      await party(),
      runOptions(),
      "00".repeat(16),
      side as NonNullable<typeof side>,
    );
    await expect(joined).rejects.toMatchObject({
      code: "plan-mismatch",
      message: expect.stringMatching(
        /training\.learningRate is 5 here and 0\.5 there.*rounds is 9 here and 3 there/,
      ),
    });
  });

  test("a late one is left out after the grace, and comes along in the next round", async () => {
    const shared = plan({ minResponses: 2, rounds: 2, graceMs: 100 });
    let first = true;
    const seen: AggregatorEvent[] = [];
    const all = await sides(3, (i) => ({
      plan: shared,
      trainer:
        i === 2
          ? {
              ...trainerOf(2),
              fit: async (...args) => {
                if (first) await new Promise((resolve) => setTimeout(resolve, 800));
                first = false;
                return await trainerOf(2).fit(...args);
              },
            }
          : trainerOf(i),
    }));
    await runAll(runOptions({ plan: shared, onEvent: (event) => seen.push(event) }), all);
    const rounds = seen.filter(({ type }) => type === "round");
    expect(rounds.map((event) => event.type === "round" && event.accepted)[0]).toBe(2);
  });

  test("too few in time: the run fails by name, and can go on", async () => {
    const shared = plan({ deadlineMs: 300 });
    const run = runOptions({ plan: shared });
    await expect(runAll(run, await sides(2, () => ({ plan: shared })))).rejects.toMatchObject({
      code: "timeout",
      message: expect.stringContaining("2 of 3 participants"),
    });
  });

  test("one that breaks off and returns sends the very same update", async () => {
    const aggregator = await party();
    const run = runOptions({ plan: plan({ rounds: 1 }) });
    const id = await runIdOf(run.journal, random);
    let fits = 0;
    const all = await sides(3, (i) => ({
      plan: run.plan,
      trainer: {
        ...slow(trainerOf(i), 150),
        ...(i === 0
          ? {
              fit: async (...args: Parameters<Trainer["fit"]>) => {
                fits++;
                return await trainerOf(0).fit(...args);
              },
            }
          : {}),
      },
    }));
    const [first, ...others] = all as [(typeof all)[0], ...typeof all];
    // It writes its update down and is cut off before the others have answered.
    const { channel } = await join(aggregator, run, id, first);
    for (const side of others) void join(aggregator, run, id, side);
    const result = aggregate(run, id);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await channel.close("cut");
    await join(aggregator, run, id, first);
    expect((await result).rounds).toBe(1);
    expect(fits).toBe(1);
  });

  test.each<[string, (trainer: Trainer) => Trainer, RegExp]>([
    [
      "numbers that are none",
      (t) => ({
        ...t,
        fit: async (p, ...rest) => ({
          ...(await t.fit(p, ...rest)),
          parameters: p.map(() => Number.NaN),
        }),
      }),
      /no number/,
    ],
    [
      "numbers beyond the bound",
      (t) => ({
        ...t,
        fit: async (p, ...rest) => ({ ...(await t.fit(p, ...rest)), parameters: p.map(() => 1e9) }),
      }),
      /over 64/,
    ],
  ])("%s: quarantined by name, and the run goes on", async (_name, change, reason) => {
    const shared = plan({ minAvailable: 3, sampleSize: 4, minResponses: 3, rounds: 3 });
    const seen: AggregatorEvent[] = [];
    const run = runOptions({ plan: shared, onEvent: (event) => seen.push(event) });
    const all = await sides(4, (i) => ({
      plan: shared,
      trainer: i === 0 ? change(trainerOf(0)) : trainerOf(i),
    }));
    const aggregator = await party();
    const id = await runIdOf(run.journal, random);
    await Promise.all(all.map((side) => join(aggregator, run, id, side)));
    const result = await aggregate(run, id);
    expect(result.rounds).toBe(3);
    const bad = all[0]?.party.fingerprint as string;
    expect(result.quarantined[bad]).toMatch(reason);
    const rounds = seen.filter((event) => event.type === "round");
    expect(rounds.map(({ accepted }) => accepted)).toEqual([3, 3, 3]);
  });
});

describe("what a participant refuses", () => {
  async function onePeer(minimum = 1) {
    const aggregator = await party();
    const memory = volatileMemory();
    const [side] = await sides(1, () => ({ memory, cohort: { identities: "any", minimum } }));
    if (side === undefined) throw new Error("no side");
    const [server, client] = await connect(aggregator, side.party);
    const { participate } = await import("../src/participant.ts");
    void participate(client, side.options).catch(() => undefined);
    const run = "ab".repeat(16);
    const fit = async (round: number, parameters = initial(), id = run): Promise<Uint8Array[]> => {
      const messages: Uint8Array[] = [];
      const stream = server.stream(fitStream, vectorMessages([parameters]), {
        params: { run: id, round },
      });
      for await (const message of stream) messages.push(message);
      return messages;
    };
    const commit = (round: number, members: readonly { participant: string; update: string }[]) =>
      server.call(commitCall, { run, round, members: members as never });
    const own = async () => ({
      participant: side.party.fingerprint,
      update: (await memory.read())?.update as string,
    });
    return { server, fit, commit, own, run };
  }

  test("an old round, the same round from elsewhere, another run", async () => {
    const { fit, server } = await onePeer();
    const first = await fit(2);
    expect((await fit(2)).map((bytes) => hex(bytes))).toEqual(first.map((bytes) => hex(bytes)));
    await expect(fit(1)).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("over"),
    });
    await expect(fit(2, initial().fill(1))).rejects.toMatchObject({ code: "refused" });
    await expect(fit(3, initial(), "cd".repeat(16))).rejects.toMatchObject({ code: "wrong-state" });
    const hello = server.call(helloCall, { run: "cd".repeat(16), plan: plan() as never });
    await expect(hello).rejects.toMatchObject({ code: "wrong-state" });
    await fit(3);
    await expect(fit(2)).rejects.toMatchObject({ code: "refused" });
  });

  test("a second set, once one was committed to; the same set again gives the same key", async () => {
    const { fit, commit, own } = await onePeer();
    await fit(1);
    const me = await own();
    const others = ["b", "c"].map((name) => ({ participant: `sha256:${name}`, update: "00" }));
    const first = await commit(1, [me, ...others]);
    expect(await commit(1, [others[1] as typeof me, me, others[0] as typeof me])).toEqual(first);
    // Set back, the aggregator leaves one out: the difference of both sums would be that one's update.
    await expect(commit(1, [me, others[0] as typeof me])).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("Another set"),
    });
    await expect(commit(1, [me])).rejects.toMatchObject({ code: "refused" });
  });

  test("a set without its update, with somebody twice, or too small: no key", async () => {
    const { fit, commit, own } = await onePeer(3);
    await fit(1);
    const me = await own();
    const other = (name: string) => ({ participant: `sha256:${name}`, update: "00" });
    await expect(commit(1, [other("a"), other("b"), other("c")])).rejects.toThrow(/does not hold/);
    await expect(commit(1, [{ ...me, update: "00" }, other("a"), other("b")])).rejects.toThrow(
      /does not hold/,
    );
    await expect(commit(1, [me])).rejects.toThrow(/wants 3/);
    await expect(commit(1, [me, other("a"), other("a")])).rejects.toThrow(/twice/);
    await expect(commit(2, [me, other("a"), other("b")])).rejects.toThrow(/no update of round 2/);
    expect(await commit(1, [me, other("a"), other("b")])).toHaveProperty("key");
  });
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("killed and started again", () => {
  /** Stands for kill -9: from the n-th durable write on, nothing happens any more. */
  class Killed extends Error {}

  function mortal(journal: Journal, state: { left: number; early: boolean }): Journal {
    const die = async (write: () => Promise<void>): Promise<void> => {
      state.left--;
      if (state.left === 0 && state.early) throw new Killed();
      await write();
      if (state.left === 0) throw new Killed();
    };
    return {
      read: () => journal.read(),
      finish: (checkpoint) => die(() => journal.finish(checkpoint)),
      pend: (set) => die(() => journal.pend(set)),
    };
  }

  test.each<[string, Partial<FederatedPlan>]>([
    ["SCAFFOLD", { strategy: { name: "scaffold", settings: { population: 3 }, clipNorm: null } }],
    ["noise", { privacy: { clipNorm: 1, noiseMultiplier: 1, delta: 1e-5, maxEpsilon: 100 } }],
  ])(
    "the aggregator with %s, before and after each of its writes: the model has the same bits",
    async (_, change) => {
      const shared = plan({ ...change });
      const parties = await sides(3, () => ({ plan: shared }));
      // Randomness of all parties, the same in each of these runs: keys are part of the set, and so of the noise.
      const fixed = { bytes: (length: number) => new Uint8Array(length).fill(3) };
      const again = () =>
        parties.map((side, i) => ({
          ...side,
          options: {
            ...side.options,
            trainer: trainerOf(i),
            memory: volatileMemory(),
            random: fixed,
          },
        }));
      const id = "5a".repeat(16);
      const whole = async (journal: Journal, spool = memorySpool(), all = again()) => {
        const run = runOptions({ plan: shared, journal, spool, random: fixed });
        const aggregator = await party();
        const joined = Promise.all(all.map((side) => join(aggregator, run, id, side)));
        joined.catch(() => undefined);
        return await aggregate(run, id);
      };
      const expected = hexOf((await whole(memoryJournal())).parameters);
      for (const early of [true, false]) {
        for (let at = 1; at <= 7; at++) {
          const directory = fresh();
          const journal = sealedJournal(stateAt(directory, "model"), stateAt(directory, "set"));
          const spool = fileSpool(directory);
          const all = again();
          await expect(
            whole(mortal(journal, { left: at, early }), spool, all),
          ).rejects.toBeInstanceOf(Killed);
          const reopened = sealedJournal(stateAt(directory, "model"), stateAt(directory, "set"));
          const result = await whole(reopened, fileSpool(directory), all);
          expect([early, at, hexOf(result.parameters)]).toEqual([early, at, expected]);
        }
      }
    },
    120_000,
  );

  test("a participant, between update and key: it goes on with what it sealed", async () => {
    const directory = fresh();
    const shared = plan({ rounds: 2 });
    const memory = (): ParticipantMemory => sealedMemory(stateAt(directory, "participant"));
    const all = await sides(3, (i) =>
      i === 0 ? { memory: memory(), plan: shared } : { plan: shared },
    );
    const run = runOptions({ plan: shared });
    const aggregator = await party();
    const id = await runIdOf(run.journal, random);
    const [first, ...others] = all as [(typeof all)[0], ...typeof all];
    const { channel } = await join(aggregator, run, id, first);
    const result = aggregate(run, id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await channel.close("killed");
    for (const side of others) void join(aggregator, run, id, side);
    await new Promise((resolve) => setTimeout(resolve, 150));
    // Another process: nothing but the sealed file is left of it.
    await join(aggregator, run, id, { ...first, options: { ...first.options, memory: memory() } });
    expect((await result).rounds).toBe(2);
    const kept = await memory().read();
    expect(kept).toMatchObject({ run: id, round: 2 });
    expect(kept?.set).toMatch(/^[0-9a-f]{64}$/);
  });

  test("a state that was put back is refused", async () => {
    const directory = fresh();
    const state = stateAt(directory, "participant");
    await state.write(Uint8Array.of(1));
    const { copyFileSync } = await import("node:fs");
    const path = pathOf(directory, "participant.sealed");
    copyFileSync(path, `${path}.old`);
    await state.write(Uint8Array.of(2));
    expect([...((await state.read()) ?? [])]).toEqual([2]);
    copyFileSync(`${path}.old`, path);
    await expect(state.read()).rejects.toMatchObject({ code: "rolled-back" });
    rmSync(path);
    await expect(state.read()).rejects.toMatchObject({ code: "rolled-back" });
  });
});
