/**
 * `psi demo`: two parties in processes of their own find what two real fraud lists have in common,
 * and a third process with one changed byte is turned away first.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PsiWorkerEvent } from "@vivarium/psi";
import { CliError } from "../errors/error.ts";
import { type Io, printable } from "../io.ts";
import { createProgress, duration } from "../progress.ts";
import {
  configOf,
  type Forgery,
  forgeBundle,
  introduce,
  loadLists,
  plainJoin,
  writeList,
} from "./demo-setup.ts";
import type { PsiDemoOptions } from "./options.ts";
import { type PartyEnd, type PartyLine, type PartyProcess, startParty } from "./party-process.ts";
import { eventLines } from "./run.ts";

const number = (value: number): string => value.toLocaleString("en-US");

export async function runPsiDemo(options: PsiDemoOptions, io: Io): Promise<number> {
  const started = io.now();
  const directory = await mkdtemp(join(tmpdir(), "vivarium-demo-"));
  const say = (line: string): void => {
    if (!options.json) io.stdout.write(`${printable(line)}\n`);
  };
  const parties: PartyProcess[] = [];
  try {
    const report = await play(directory, say, io, parties, options);
    const seconds = (io.now() - started) / 1000;
    if (options.json) io.stdout.write(`${JSON.stringify({ ...report, seconds })}\n`);
    else say(`Done in ${duration(io.now() - started)}. Next: docs/two-machines.md.`);
    return report.correct && report.impostorRefused ? 0 : 1;
  } finally {
    for (const party of parties) party.stop();
    await Promise.all(parties.map(({ ended }) => ended));
    await rm(directory, { recursive: true, force: true });
  }
}

async function play(
  directory: string,
  say: (line: string) => void,
  io: Io,
  parties: PartyProcess[],
  options: PsiDemoOptions,
) {
  const at = (name: string): string => join(directory, name);
  const { alice, bob } = await loadLists();
  say(
    "Two companies want to know which domains are on both of their fraud lists, and show no more.",
  );
  say(`  alice: ${number(alice.domains.length)} domains (${alice.source})`);
  say(`  bob:   ${number(bob.domains.length)} domains (${bob.source})`);
  say("The evidence below is SIMULATED: it proves the workers' code, by keys on this machine.");
  say("Without a TEE nothing protects a worker from the machine it runs on.");

  const forging = forgeBundle(at("forged"));
  await introduce(directory, io, options.run);
  await writeList(at("alice.csv"), alice);
  await writeList(at("bob.csv"), bob);
  const config = { name: "alice", list: "alice.csv", policy: "alice.policy.yaml" };
  await writeFile(at("alice.yaml"), configOf({ ...config, listen: "127.0.0.1:0" }));

  const progress = createProgress(io);
  const watch = startAlice(at, io, parties, (line) => {
    if ("progress" in line) progress.update(line.progress);
    if ("event" in line && line.event.type === "attested") {
      for (const text of eventLines(line.event)) say(`  alice: ${text}`);
    }
  });
  const address = await watch.listening;
  say(`alice waits on ${address}; each side demands the other's identity and this very code.`);
  for (const name of ["bob", "mallory"]) {
    const text = configOf({ name, list: "bob.csv", policy: "bob.policy.yaml", connect: address });
    await writeFile(at(`${name}.yaml`), text);
  }

  const impostor = await turnAway(at, io, parties, await forging, watch.refused, say);
  say("Now bob, with the code that both have approved:");
  const bobRun = startParty(
    { config: at("bob.yaml"), state: at("bob"), signal: io.signal },
    (line) => {
      if ("event" in line && line.event.type === "attested") {
        for (const text of eventLines(line.event)) say(`  bob: ${text}`);
      }
    },
  );
  parties.push(bobRun);
  const [aliceEnd, bobEnd] = await Promise.all([watch.party.ended, bobRun.ended]);
  progress.finish();
  const expected = plainJoin(alice.domains, bob.domains);
  const rows = (await readFile(at("common.csv"), "utf8").catch(() => "")).split("\n").length - 2;
  const refusal = await impostor.ended;
  return conclude(aliceEnd, bobEnd, { expected, rows, refusal }, say);
}

interface Watch {
  readonly party: PartyProcess;
  readonly listening: Promise<string>;
  readonly refused: Promise<Extract<PsiWorkerEvent, { type: "refused" }>>;
}

function startAlice(
  at: (name: string) => string,
  io: Io,
  parties: PartyProcess[],
  onLine: (line: PartyLine) => void,
): Watch {
  let listening: (address: string) => void = () => undefined;
  let refused: (event: Extract<PsiWorkerEvent, { type: "refused" }>) => void = () => undefined;
  const whenListening = new Promise<string>((resolve) => {
    listening = resolve;
  });
  const whenRefused = new Promise<Extract<PsiWorkerEvent, { type: "refused" }>>((resolve) => {
    refused = resolve;
  });
  const party = startParty(
    { config: at("alice.yaml"), state: at("alice"), signal: io.signal },
    (line) => {
      if ("event" in line && line.event.type === "waiting") listening(line.event.address);
      if ("event" in line && line.event.type === "refused") refused(line.event);
      onLine(line);
    },
  );
  parties.push(party);
  const early = party.ended.then(({ error }) => {
    throw new CliError("internal", `alice ended early: ${error?.message ?? "no reason given"}`);
  });
  early.catch(() => undefined);
  return {
    party,
    listening: Promise.race([whenListening, early]),
    refused: Promise.race([whenRefused, early]),
  };
}

/** The impostor: somebody at bob's with bob's identity and root, and a worker of his own making. */
async function turnAway(
  at: (name: string) => string,
  io: Io,
  parties: PartyProcess[],
  forgery: Forgery,
  refused: Watch["refused"],
  say: (line: string) => void,
): Promise<{ readonly ended: Promise<boolean> }> {
  const hex = (byte: number): string => `0x${byte.toString(16).padStart(2, "0")}`;
  say("First somebody at bob's tries, with bob's identity and one byte of the worker changed");
  say(
    `  (${forgery.file}, offset ${forgery.offset}: ${hex(forgery.before)} to ${hex(forgery.after)}):`,
  );
  const party = startParty(
    { config: at("mallory.yaml"), state: at("bob"), bundle: forgery.bundle, signal: io.signal },
    () => undefined,
  );
  parties.push(party);
  const event = await refused;
  for (const line of eventLines(event)) say(`  alice: ${line}`);
  const broken = event.findings.filter(({ ok }) => !ok);
  const ended = party.ended.then(({ exit, error }) => {
    say(`  mallory learned no more than: ${error?.id ?? "nothing"}`);
    return exit !== 0 && broken.some(({ rule }) => rule === "measurement.code");
  });
  // Bob need not wait for mallory to tidy up.
  return { ended };
}

function conclude(
  alice: PartyEnd,
  bob: PartyEnd,
  facts: { readonly expected: number; readonly rows: number; readonly refusal: boolean },
  say: (line: string) => void,
) {
  if (alice.result === undefined || bob.result === undefined) {
    const { error } = alice.result === undefined ? alice : bob;
    throw new CliError("internal", `The demo failed: ${error?.message ?? "no reason given"}`);
  }
  const matches = Number(alice.result["matches"]);
  const sent = Number(alice.result["bytesSent"]);
  const received = Number(alice.result["bytesReceived"]);
  const correct = matches === facts.expected && facts.rows === facts.expected;
  say(`Result: ${number(matches)} domains are on both lists.`);
  say(
    correct
      ? `A plain join of the two lists gives the same ${number(facts.expected)}.`
      : `WRONG: a plain join of the two lists gives ${number(facts.expected)}.`,
  );
  say(
    `alice sent ${number(sent)} bytes and received ${number(received)}; bob learned nothing of it.`,
  );
  say("Both sides hold a signed receipt of the run.");
  return {
    matches,
    expected: facts.expected,
    correct,
    impostorRefused: facts.refusal,
    simulated: true,
    bytesSent: sent,
    bytesReceived: received,
    engine: String(alice.result["engine"]),
  };
}
