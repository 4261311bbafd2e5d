/** `vivarium federated run` as users type it: a hub and two owners, one of them killed on the way. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { freePort, freshDirectory } from "./support.ts";

const main = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));

interface Ended {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

function start(
  cwd: string,
  args: readonly string[],
  onLine: (line: string) => void = () => undefined,
) {
  const child: ChildProcess = spawn(process.execPath, [main, ...args], {
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      err += `${line}\n`;
      onLine(line);
    });
  }
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code) => resolve({ exit: code ?? 1, out, err }));
  });
  return { child, ended };
}

/** 60 rows of four numbers; the sum of the first two decides. */
function rows(owner: number): string {
  let state = owner + 1;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  return Array.from({ length: 60 }, () => {
    const numbers = [draw(), draw(), draw(), draw()];
    const label = (numbers[0] ?? 0) + (numbers[1] ?? 0) > 0 ? 1 : 0;
    return JSON.stringify({ numbers, label });
  }).join("\n");
}

const planText = (rounds: number, learningRate = 0.5): string => `version: 1
name: demo-run
model: { kind: linear, classes: 2, features: 4, input: numbers }
training: { epochs: 2, batchSize: 8, learningRate: ${learningRate} }
strategy: { name: fedavg }
rounds: ${rounds}
minAvailable: 2
seed: 1
`;

async function setUp() {
  const directory = freshDirectory();
  const run = async (...args: string[]): Promise<Ended> => await start(directory, args).ended;
  const must = async (...args: string[]): Promise<void> => {
    const { exit, err } = await run(...args);
    if (exit !== 0) throw new Error(`${args.join(" ")}: ${err}`);
  };
  for (const name of ["hub", "north", "south"]) {
    await must("identity", "create", name, "--state", name);
    await must("identity", "export", name, "--state", name, "--output", `${name}.party.json`);
  }
  const policy = ["policy", "init", "--workload", "federated"];
  await must(
    ...policy,
    "--role",
    "participant",
    "--peer",
    "north.party.json",
    "--peer",
    "south.party.json",
    "--output",
    "hub.policy.yaml",
  );
  await must(
    ...policy,
    "--role",
    "aggregator",
    "--peer",
    "hub.party.json",
    "--output",
    "owner.policy.yaml",
  );
  const port = await freePort();
  const file = (name: string, text: string): void => writeFileSync(join(directory, name), text);
  // So many rounds that none is over before a kill arrives.
  file("plan.yaml", planText(40));
  const common =
    "version: 1\nworkload: federated\nplan: plan.yaml\nevidence: simulated\ntimeoutSeconds: 60\n";
  file(
    "hub.yaml",
    `${common}role: aggregator\npolicy: hub.policy.yaml\nlisten: 127.0.0.1:${port}\noutput: model.safetensors\nreceipts: receipts\n`,
  );
  for (const [i, name] of ["north", "south"].entries()) {
    file(`${name}.jsonl`, rows(i));
    file(
      `${name}.yaml`,
      `${common}role: participant\npolicy: owner.policy.yaml\nconnect: 127.0.0.1:${port}\ndata: { path: ${name}.jsonl, testShare: 0.25 }\ncohort: { minimum: 2, identities: any }\n`,
    );
  }
  const party = (name: string, onLine?: (line: string) => void) =>
    start(
      directory,
      ["federated", "run", "--config", `${name}.yaml`, "--state", name, "--json"],
      onLine,
    );
  return { directory, run, party, file };
}

test("a hub and two owners train, one is killed and comes back, receipts verify", async () => {
  const { directory, run, party } = await setUp();
  let killed = false;
  const hub = party("hub");
  const south = party("south");
  const north = party("north", (line) => {
    if (killed || !line.includes('"type":"committed"')) return;
    killed = true;
    // The launcher and the worker below it: nobody says good-bye.
    north.child.kill("SIGKILL");
  });
  await north.ended;
  const again = party("north");
  const [hubEnd, northEnd, southEnd] = await Promise.all([hub.ended, again.ended, south.ended]);
  expect([hubEnd.exit, hubEnd.err.split("\n").filter((line) => line.includes("error"))]).toEqual([
    0,
    [],
  ]);
  expect([northEnd.exit, southEnd.exit]).toEqual([0, 0]);
  const result = JSON.parse(hubEnd.out) as { rounds: number; history: { accuracy: number }[] };
  expect(result.rounds).toBe(40);
  expect(result.history.at(-1)?.accuracy).toBeGreaterThan(0.85);
  const receipts = readdirSync(join(directory, "receipts")).sort();
  expect(receipts).toHaveLength(40);
  const verified = await run("receipt", "verify", `receipts/${receipts[39]}`, "--json");
  expect(verified.exit).toBe(0);
  const paths = receipts.map((name) => `receipts/${name}`);
  const chain = await run("receipt", "verify", ...paths);
  expect([chain.exit, chain.out]).toEqual([
    0,
    expect.stringContaining("All 40 receipts are genuine"),
  ]);
  const gap = await run("receipt", "verify", ...paths.slice(0, 2), ...paths.slice(3));
  expect([gap.exit, gap.err]).toEqual([3, expect.stringContaining("does not follow")]);
  const model = readFileSync(join(directory, "model.safetensors"));
  expect(model.subarray(8, 40).toString()).toContain("__metadata__");
  // The labels and numbers of the owners stand in nothing that the hub keeps or prints.
  const owners = readFileSync(join(directory, "north.jsonl"), "utf8").split("\n");
  const first = /-?0\.\d{10,}/.exec(owners[0] ?? "")?.[0] as string;
  expect(hubEnd.out + hubEnd.err + verified.out).not.toContain(first);
}, 120_000);

test("plans that differ are named on the owner's side, and cost the hub nothing", async () => {
  const { directory, party, file } = await setUp();
  mkdirSync(join(directory, "other"));
  file("other-plan.yaml", planText(40, 0.9));
  const text = readFileSync(join(directory, "north.yaml"), "utf8");
  file("north.yaml", text.replace("plan: plan.yaml", "plan: other-plan.yaml"));
  const hub = party("hub");
  const north = party("north");
  // It is told by the hub, whose call it refused; it goes on trying nothing.
  let refused: () => void = () => undefined;
  const whenRefused = new Promise<void>((resolve) => {
    refused = resolve;
  });
  hub.child.stderr?.on("data", (chunk: string) => {
    if (String(chunk).includes("plan-mismatch")) refused();
  });
  await whenRefused;
  for (const side of [hub, north]) side.child.kill("SIGTERM");
  const [hubEnd] = await Promise.all([hub.ended, north.ended]);
  expect(hubEnd.err).toContain("training.learningRate is 0.9 here and 0.5 there");
}, 120_000);

test("strategies are compared on data of one place", async () => {
  const directory = freshDirectory();
  writeFileSync(
    join(directory, "plan.yaml"),
    planText(4).replace("minAvailable: 2", "minAvailable: 4"),
  );
  writeFileSync(join(directory, "all.jsonl"), [0, 1, 2, 3].map(rows).join("\n"));
  const simulate = [
    "federated",
    "simulate",
    "--plan",
    "plan.yaml",
    "--data",
    "all.jsonl",
    "--participants",
    "6",
  ];
  const good = await start(directory, [
    ...simulate,
    "--split",
    "dirichlet:0.5",
    "--strategies",
    "fedavg,scaffold",
    "--json",
  ]).ended;
  expect(good.exit).toBe(0);
  const table = JSON.parse(good.out) as {
    centralised: { accuracy: number };
    results: { strategy: string; accuracy: number }[];
  };
  expect(table.results.map(({ strategy }) => strategy)).toEqual(["fedavg", "scaffold"]);
  for (const { accuracy } of table.results) expect(accuracy).toBeGreaterThan(0.75);
  expect(table.centralised.accuracy).toBeGreaterThan(0.9);
  for (const bad of [
    ["--split", "odd"],
    ["--participants", "2"],
    ["--strategies", "fedavg,best"],
    ["--strategies", "bulyan"],
    ["--test-share", "1"],
  ]) {
    const { exit, err } = await start(directory, [...simulate, ...bad]).ended;
    expect([bad, exit, err.trim().split("\n").length]).toEqual([bad, 2, 1]);
  }
}, 120_000);

test("bad configurations are one line each, with exit code 2", async () => {
  const { run, file } = await setUp();
  const bad = async (name: string, text: string, plan = planText(3)): Promise<string> => {
    file("plan.yaml", plan);
    file(name, text);
    const { exit, err } = await run("federated", "run", "--config", name, "--state", "hub");
    expect(exit).toBe(2);
    expect(err).not.toContain("    at ");
    return err;
  };
  const hub =
    "version: 1\nworkload: federated\nplan: plan.yaml\nevidence: simulated\nrole: aggregator\npolicy: hub.policy.yaml\nlisten: 127.0.0.1:0\n";
  expect(await bad("a.yaml", hub)).toContain("output: is required for the aggregator");
  expect(await bad("b.yaml", `${hub}output: m\nconnect: a:1\n`)).toContain(
    "has no meaning for the aggregator",
  );
  expect(
    await bad("c.yaml", `${hub}output: m\n`, planText(3).replace("fedavg", "fedsomething")),
  ).toContain("strategy.name");
  const krum = planText(3).replace(
    "{ name: fedavg }",
    "{ name: krum, settings: { byzantine: 2 } }",
  );
  expect(await bad("d.yaml", `${hub}output: m\n`, krum)).toContain("the strategy needs 7");
  const typo = planText(3).replace("{ name: fedavg }", "{ name: fedprox, settings: { mu: 2 } }");
  expect(await bad("e.yaml", `${hub}output: m\n`, typo)).toContain(
    "settings.mu is none of fedprox's",
  );
}, 120_000);
