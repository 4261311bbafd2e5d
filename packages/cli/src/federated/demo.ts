/**
 * `federated demo`: five data owners in processes of their own train one spam filter on real e-mails, and
 * a sixth with one changed byte is turned away.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { nodeCrypto } from "@vivarium/core/node";
import {
  type AggregatorSummary,
  type FederatedWorker,
  type FederatedWorkerEvent,
  launchFederated,
} from "@vivarium/federated";
import { verifyReceipt } from "@vivarium/seal";
import { CliError } from "../errors/error.ts";
import { type Io, printable } from "../io.ts";
import { duration } from "../progress.ts";
import {
  type DemoParty,
  deal,
  demoPlan,
  demoPolicy,
  forgeFederated,
  makeParty,
} from "./demo-setup.ts";
import { loadEmails } from "./emails.ts";
import { short } from "./lines.ts";

const owners = ["north", "south", "east", "west", "centre"] as const;
const testShare = 0.2;
/** What the demo promises of the model, on e-mails that nobody trained on. */
const goodAccuracy = 0.965;

const number = (value: number): string => value.toLocaleString("en-US");
const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

/** @returns true if the model is good and the impostor was turned away. */
export async function runFederatedDemo(
  { json, output }: { readonly json: boolean; readonly output?: string },
  io: Io,
): Promise<boolean> {
  const started = io.now();
  const directory = await mkdtemp(join(tmpdir(), "vivarium-demo-"));
  const say = (line: string): void => {
    if (!json) io.stdout.write(`${printable(line)}\n`);
  };
  const running: FederatedWorker[] = [];
  try {
    const report = await play(
      directory,
      say,
      io,
      running,
      output ?? join(directory, "model.safetensors"),
    );
    const seconds = (io.now() - started) / 1000;
    if (json) io.stdout.write(`${JSON.stringify({ ...report, seconds })}\n`);
    else say(`Done in ${duration(io.now() - started)}. Next: docs/federated.md.`);
    return report.accuracy >= goodAccuracy && report.impostorRefused;
  } finally {
    await Promise.all(running.map((worker) => worker[Symbol.asyncDispose]()));
    await rm(directory, { recursive: true, force: true });
  }
}

async function play(
  directory: string,
  say: (line: string) => void,
  io: Io,
  running: FederatedWorker[],
  output: string,
) {
  const emails = await loadEmails(io.env, say);
  const plan = demoPlan(owners.length);
  say(
    `Five companies want one spam filter of all their e-mails, and show no e-mail to each other.`,
  );
  say(
    `  ${number(emails.rows.length)} e-mails (${emails.source}), split at random with a seed, ${percent(testShare)} kept for tests.`,
  );
  say("The evidence below is SIMULATED: it proves the workers' code, by keys on this machine.");
  const forging = forgeFederated(join(directory, "forged"));
  const shares = deal(emails.rows, owners.length);
  for (const [i, name] of owners.entries()) {
    const lines = (shares[i] ?? []).map((row) => JSON.stringify(row)).join("\n");
    await writeFile(join(directory, `${name}.jsonl`), lines, { mode: 0o600 });
  }
  const hub = await makeParty("hub");
  const parties = await Promise.all(owners.map(makeParty));
  const names = new Map(parties.map(({ fingerprint, name }) => [fingerprint, name]));
  const nameOf = (identity: string): string => names.get(identity) ?? short(identity);

  const receipts: Uint8Array[] = [];
  let listening: (port: number) => void = () => undefined;
  let refusedBy: (event: Extract<FederatedWorkerEvent, { type: "refused" }>) => void = () =>
    undefined;
  const whenListening = new Promise<number>((resolve) => {
    listening = resolve;
  });
  const whenRefused = new Promise<Extract<FederatedWorkerEvent, { type: "refused" }>>((resolve) => {
    refusedBy = resolve;
  });
  const aggregator = await launchFederated({
    role: "aggregator",
    config: {
      plan,
      listen: { host: "127.0.0.1", port: 0 },
      timeoutMs: 60_000,
      output,
    },
    policy: await demoPolicy("participant", parties),
    ...launchOf(hub, io),
    onEvent: (event) => {
      if (event.type === "waiting") listening(Number(event.address.split(":").at(-1)));
      if (event.type === "refused") refusedBy(event);
      if (event.type === "receipt") receipts.push(event.receipt);
      if (event.type === "joined") {
        say(
          `  ${nameOf(event.participant)} is attested and in, with ${number(event.examples)} e-mails to train on.`,
        );
      }
      if (event.type === "metrics") {
        say(
          `  round ${event.round}: ${percent(event.accuracy)} of ${number(event.examples)} test e-mails right, loss ${event.loss.toFixed(4)}`,
        );
      }
    },
  });
  running.push(aggregator);
  aggregator.result.catch(() => undefined);
  const port = await Promise.race([whenListening, aggregator.result.then(noPort)]);
  const admit = async (
    party: DemoParty,
    file: string,
    bundle?: string,
  ): Promise<FederatedWorker> => {
    const side = await launchFederated({
      role: "participant",
      ...(bundle === undefined ? {} : { bundle }),
      config: {
        plan,
        connect: { host: "127.0.0.1", port },
        timeoutMs: 60_000,
        data: { path: join(directory, file), testShare },
        cohort: {
          identities: parties.map(({ fingerprint }) => fingerprint),
          minimum: owners.length,
        },
      },
      policy: await demoPolicy("aggregator", [hub]),
      ...launchOf(party, io),
    });
    running.push(side);
    side.result.catch(() => undefined);
    return side;
  };

  say("First somebody at south's tries, with south's identity and one byte of the worker changed:");
  const impostor = await admit(parties[1] as DemoParty, "south.jsonl", await forging);
  const refusal = await Promise.race([whenRefused, aggregator.result.then(noPort)]);
  const broken = refusal.findings.filter(({ ok }) => !ok);
  for (const { rule, expected, actual } of broken)
    say(`  refused, ${rule}: expected ${expected}, got ${actual}`);
  await impostor[Symbol.asyncDispose]();

  say("Now the five, each in a process of its own, with the code that all have approved:");
  await Promise.all(parties.map((party) => admit(party, `${party.name}.jsonl`)));
  const result = (await aggregator.result) as AggregatorSummary;
  const chain = await chainOf(receipts, hub.fingerprint);
  const last = result.history.at(-1);
  const accuracy = last?.accuracy ?? 0;
  say(
    `Result: ${percent(accuracy)} of ${number(last?.examples ?? 0)} e-mails that nobody trained on are told right, after ${result.rounds} rounds.`,
  );
  say(
    `The aggregator signed ${chain} receipts, each naming the one before it; none holds a word of an e-mail.`,
  );
  return {
    accuracy,
    examples: last?.examples ?? 0,
    rounds: result.rounds,
    participants: owners.length,
    receipts: chain,
    impostorRefused: broken.some(({ rule }) => rule === "measurement.code"),
    simulated: true,
    emails: emails.rows.length,
  };
}

const launchOf = ({ identity, root }: DemoParty, io: Io) => ({
  identity,
  attestation: { kind: "simulated" as const, root },
  limits: { threads: Math.min(2, availableParallelism()) },
  signal: io.signal,
});

function noPort(): never {
  throw new CliError("internal", "The demo's aggregator ended early.");
}

/** Verifies every receipt and that each names the one before. */
async function chainOf(receipts: readonly Uint8Array[], identity: string): Promise<number> {
  const crypto = nodeCrypto();
  let previous = "";
  for (const bytes of receipts) {
    const { body } = await verifyReceipt(bytes, { crypto, identities: [identity] });
    if ((body as { readonly previous: string }).previous !== previous) {
      throw new CliError("internal", "The receipts of the demo do not follow each other.");
    }
    const digest = await crypto.digest("SHA-256", bytes);
    previous = Buffer.from(digest).toString("hex");
  }
  return receipts.length;
}
