/**
 * kill -9 with a checkpoint, at every step and of either side: the survivor waits, the dead side is started
 * again, and the result is exact; a restored copy of the checkpoint does no harm.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemRandom, toHex } from "@vivarium/core";
import type { PsiWorkerConfig, PsiWorkerEvent } from "@vivarium/psi";
import { beforeAll, expect, test } from "vitest";
import {
  at,
  errorOf,
  freePort,
  freshDirectory,
  makeWorld,
  other,
  type Role,
  type Started,
  start,
  type World,
} from "./support.ts";

let world: World;
const inputs = freshDirectory();
const rows = 5_000;
const common = rows / 2;

beforeAll(async () => {
  world = await makeWorld();
  const table = (from: number): string =>
    `key\n${Array.from({ length: rows }, (_, i) => `item-${from + i}`).join("\n")}\n`;
  writeFileSync(join(inputs, "receiver.csv"), table(0));
  writeFileSync(join(inputs, "sender.csv"), table(common));
});

interface Side {
  readonly directory: string;
  readonly config: PsiWorkerConfig;
  readonly key: Uint8Array<ArrayBuffer>;
}

function sideOf(role: Role, where: Pick<PsiWorkerConfig, "listen" | "connect">): Side {
  const directory = freshDirectory();
  const checkpoint = join(directory, "checkpoint");
  mkdirSync(checkpoint);
  const config: PsiWorkerConfig = {
    ...where,
    checkpoint,
    input: { path: join(inputs, `${role}.csv`), keys: [{ column: "key" }] },
    output: { path: join(directory, "out.csv") },
    mode: "intersection",
    resultTo: "both",
    maxItems: 10_000,
    minItems: 1,
    timeoutMs: 30_000,
  };
  return { directory, config, key: systemRandom().bytes(32) };
}

const stepOf = (event: PsiWorkerEvent): string =>
  event.type === "progress" ? event.phase : event.type;

async function launchSide(
  role: Role,
  side: Side,
  onPsiEvent: (event: PsiWorkerEvent) => void = () => undefined,
): Promise<Started> {
  const worker = await start(world, role, side.config, { onPsiEvent });
  worker.send(side.key.slice());
  return worker;
}

async function expectExact(side: Side): Promise<void> {
  const lines = (await readFile(join(side.directory, "out.csv"), "utf8")).trim().split("\n");
  expect(lines).toHaveLength(1 + common);
  expect(new Set(lines.slice(1).map((line) => line.split(",")[1]))).toEqual(
    new Set(Array.from({ length: common }, (_, i) => `item-${common + i}`)),
  );
  expect(readdirSync(join(side.directory, "checkpoint"))).toEqual([]);
}

test.each<[step: string, victim: Role]>([
  ["hash", "sender"],
  ["mask", "receiver"],
  ["evaluate", "sender"],
  ["evaluate", "receiver"],
])(
  "killed at %s, the %s",
  async (step, victim) => {
    const port = await freePort();
    const sides = {
      receiver: sideOf("receiver", at("listen", port)),
      sender: sideOf("sender", at("connect", port)),
    };
    let pid = 0;
    let due = false;
    let struck = false;
    const strike = (): void => {
      due = true;
      if (pid !== 0) process.kill(pid, "SIGKILL");
    };
    const [killed, left] = await Promise.all([
      launchSide(victim, sides[victim], (event) => {
        if (struck || stepOf(event) !== step) return;
        struck = true;
        strike();
      }).then((worker) => {
        pid = worker.pid;
        if (due) strike();
        return worker;
      }),
      launchSide(other(victim), sides[other(victim)]),
    ]);
    expect(errorOf((await Promise.allSettled([killed.summary()]))[0])).toMatchObject({
      code: "killed",
    });
    await left.until(({ type }) => type === "interrupted");
    const saved = [sides.receiver, sides.sender].every(({ directory }) =>
      readdirSync(join(directory, "checkpoint")).includes("session.sealed"),
    );
    // The key of the dead side's next process is the same; nothing of it lies in the directory.
    const files = await Promise.all(
      readdirSync(join(sides[victim].directory, "checkpoint")).map((name) =>
        readFile(join(sides[victim].directory, "checkpoint", name)),
      ),
    );
    for (const file of files) expect(file.toString("hex")).not.toContain(toHex(sides[victim].key));
    await using again = await launchSide(victim, sides[victim]);
    const [one, two] = await Promise.all([again.summary(), left.summary()]);
    for (const summary of [one, two]) {
      expect(summary).toMatchObject({ matches: common, rowsWritten: common, resumed: saved });
    }
    // Before the end of the first round there is nothing to go on with; behind it there must be.
    if (step === "hash" || step === "mask") expect(saved).toBe(false);
    await expectExact(sides.receiver);
    await expectExact(sides.sender);
  },
  60_000,
);

test("another key or a changed input is refused, and nothing is lost", async () => {
  const port = await freePort();
  const sides = {
    receiver: sideOf("receiver", at("listen", port)),
    sender: sideOf("sender", at("connect", port)),
  };
  const stopping: { worker?: Started } = {};
  const [first, second] = await Promise.all([
    launchSide("receiver", sides.receiver),
    launchSide("sender", sides.sender, (event) => {
      if (stepOf(event) === "evaluate") void stopping.worker?.stop();
    }).then((worker) => {
      stopping.worker = worker;
      return worker;
    }),
  ]);
  await Promise.allSettled([first.summary(), second.summary()]);
  const saved = readdirSync(join(sides.receiver.directory, "checkpoint"));
  // A run that was over before it could be stopped has nothing to refuse.
  if (saved.length === 0) return;
  await using wrong = await launchSide("receiver", {
    ...sides.receiver,
    key: systemRandom().bytes(32),
  });
  await using peer = await launchSide("sender", sides.sender);
  const [refused] = await Promise.allSettled([wrong.summary(), peer.summary()]);
  expect(errorOf(refused)).toMatchObject({ domain: "psi", code: "checkpoint" });
  expect(readdirSync(join(sides.receiver.directory, "checkpoint"))).toEqual(saved);
}, 60_000);
