/**
 * kill -9 of one party's worker at every step of the protocol. Its launcher and the peer must both
 * hear of it, with a typed error; nobody keeps a partial result, and nothing is left on the disk.
 */
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { PsiWorkerConfig, PsiWorkerEvent } from "@vivarium/psi";
import { beforeAll, describe, expect, test } from "vitest";
import {
  at,
  errorOf,
  filesIn,
  freePort,
  freshDirectory,
  makeWorld,
  other,
  type Role,
  start,
  type World,
} from "./support.ts";

let world: World;
const inputs = freshDirectory();
const rows = 2_000;
const common = rows / 2;

beforeAll(async () => {
  world = await makeWorld();
  const table = (from: number): string =>
    `key\n${Array.from({ length: rows }, (_, i) => `item-${from + i}`).join("\n")}\n`;
  writeFileSync(join(inputs, "receiver.csv"), table(0));
  writeFileSync(join(inputs, "sender.csv"), table(common));
});

function configFor(
  role: Role,
  directory: string,
  where: Pick<PsiWorkerConfig, "listen" | "connect">,
): PsiWorkerConfig {
  return {
    ...where,
    input: { path: join(inputs, `${role}.csv`), keys: [{ column: "key" }] },
    output: { path: join(directory, `${role}.csv`) },
    mode: "intersection",
    resultTo: "both",
    maxItems: 10_000,
    minItems: 1,
    timeoutMs: 30_000,
  };
}

const stepOf = (event: PsiWorkerEvent): string =>
  event.type === "progress" ? event.phase : event.type;

/** Starts both; the victim dies the moment its launcher hears that it has reached the step. */
async function killAt(step: string, victim: Role) {
  const directory = freshDirectory();
  const port = await freePort();
  const survivor = other(victim);
  let pid = 0;
  let due = false;
  const strike = (): void => {
    due = true;
    if (pid !== 0) process.kill(pid, "SIGKILL");
  };
  let struck = false;
  const [killed, left] = await Promise.all([
    start(world, victim, configFor(victim, directory, at("listen", port)), {
      onPsiEvent: (event) => {
        if (struck || stepOf(event) !== step) return;
        struck = true;
        strike();
      },
    }).then((worker) => {
      pid = worker.pid;
      if (due) strike();
      return worker;
    }),
    start(world, survivor, configFor(survivor, directory, at("connect", port))),
  ]);
  return { directory, killed, left };
}

/** Either side, so that both roles lose their peer and their own worker. */
const steps: readonly (readonly [step: string, victim: Role])[] = [
  ["attested", "receiver"],
  ["hash", "sender"],
  ["mask", "receiver"],
  ["receive", "sender"],
  ["evaluate", "sender"],
  ["evaluate", "receiver"],
];

describe("kill -9 when the worker", () => {
  test.each(steps)("is at %s, of the %s", async (step, victim) => {
    const { directory, killed, left } = await killAt(step, victim);
    const [dead, alive] = await Promise.allSettled([killed.summary(), left.summary()]);
    expect(killed.seen.map(stepOf)).toContain(step);
    expect(errorOf(dead)).toMatchObject({ domain: "workers", code: "killed" });
    const error = errorOf(alive);
    expect(error.id, error.message).toMatch(/^(psi\/(connection-lost|peer-aborted)|channel\/\S+)$/);
    await Promise.all([killed.exited, left.exited]);
    // No output, no temporary file beside it, no copy of the bundle.
    expect(filesIn(directory)).toEqual([]);
    expect([filesIn(killed.directory), filesIn(left.directory)]).toEqual([[], []]);
  });

  test("waits for its peer: the peer goes on waiting, and stops when it is told to", async () => {
    const { directory, killed, left } = await killAt("waiting", "receiver");
    expect(errorOf((await Promise.allSettled([killed.summary()]))[0])).toMatchObject({
      code: "killed",
    });
    await left.stop();
    const [stopped] = await Promise.allSettled([left.summary()]);
    expect(errorOf(stopped).code).toMatch(/aborted|killed/);
    expect(filesIn(directory)).toEqual([]);
    expect([filesIn(killed.directory), filesIn(left.directory)]).toEqual([[], []]);
  });

  test("has the result already: the peer has all of it, or an error and nothing", async () => {
    const { directory, killed, left } = await killAt("match", "receiver");
    const [dead, alive] = await Promise.allSettled([killed.summary(), left.summary()]);
    expect(errorOf(dead)).toMatchObject({ domain: "workers", code: "killed" });
    await Promise.all([killed.exited, left.exited]);
    const own = filesIn(directory).filter((name) => !name.startsWith("receiver"));
    if (alive.status === "fulfilled") {
      expect(alive.value.matches).toBe(common);
      const lines = (await readFile(join(directory, "sender.csv"), "utf8")).trim().split("\n");
      expect(lines).toHaveLength(1 + common);
    } else {
      expect(errorOf(alive).id).toMatch(/^(psi|channel)\//);
      expect(own).toEqual([]);
    }
  });
});

test("SIGTERM drains: a typed end on both sides, nothing left behind", async () => {
  const directory = freshDirectory();
  const listening = configFor("receiver", directory, at("listen", 0));
  await using first = await start(world, "receiver", listening);
  const port = await first.port();
  const stopping = new AbortController();
  await using second = await start(
    world,
    "sender",
    configFor("sender", directory, at("connect", port)),
    {
      signal: stopping.signal,
      onPsiEvent: (event) => {
        if (stepOf(event) === "hash") stopping.abort();
      },
    },
  );
  const [receiver, sender] = await Promise.allSettled([first.summary(), second.summary()]);
  expect(errorOf(sender).code).toBe("aborted");
  expect(errorOf(receiver).id).toMatch(/^(psi\/(peer-aborted|connection-lost)|channel\/\S+)$/);
  const exit = await second.exited;
  expect(exit.signal).not.toBe("SIGKILL");
  expect(filesIn(directory)).toEqual([]);
  await first.exited;
  expect([filesIn(first.directory), filesIn(second.directory)]).toEqual([[], []]);
});
