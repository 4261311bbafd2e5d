/** `serving demo`: what the federated demo has trained is sealed, served by a measured process, and asked. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { simulatedPolicy } from "@vivarium/attestation/simulated";
import type { Channel } from "@vivarium/channel";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { Secret, secretKeyWrapper, verifyReceipt } from "@vivarium/seal";
import { launchServing, predict, sealModel } from "@vivarium/serving";
import { CliError } from "../errors/error.ts";
import { runFederatedDemo } from "../federated/demo.ts";
import { type DemoParty, deal, makeParty } from "../federated/demo-setup.ts";
import { loadEmails } from "../federated/emails.ts";
import { type Io, printable } from "../io.ts";
import { duration } from "../progress.ts";
import { measureServing } from "./bundle.ts";
import { openChannel } from "./predict.ts";

const questions = 200;

/** @returns true if training, serving and all refusals went as they should. */
export async function runServingDemo(
  { json }: { readonly json: boolean },
  io: Io,
): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), "vivarium-demo-"));
  const model = join(directory, "model.safetensors");
  try {
    const quiet: Io = { ...io, stdout: { ...io.stdout, write: () => undefined } };
    const trained = await runFederatedDemo({ json: false, output: model }, json ? quiet : io);
    if (!trained) return false;
    const started = io.now();
    const say = (line: string): void => {
      if (!json) io.stdout.write(`${printable(line)}\n`);
    };
    const report = await serve(directory, model, say, io);
    const seconds = (io.now() - started) / 1000;
    if (json) io.stdout.write(`${JSON.stringify({ ...report, seconds })}\n`);
    else say(`Served in ${duration(io.now() - started)}. Next: docs/serving.md.`);
    return report.agreed && report.impostorRefused && report.receiptVerified;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function serve(directory: string, file: string, say: (line: string) => void, io: Io) {
  say(
    "Now the model goes to a host that may not read it, for clients whose e-mails it may not read.",
  );
  const crypto = nodeCrypto();
  const owner = await makeParty("owner");
  const repository = join(directory, "models");
  const bytes = randomBytes(32);
  using modelKey = new Secret(bytes);
  bytes.fill(0);
  const wrapper = secretKeyWrapper("models", modelKey);
  const digest = await sealModel(file, { repository, name: "spam", version: 1, wrapper });
  say(
    `  sealed as spam version 1, digest ${digest.slice(0, 16)}…; the digest is part of the server's evidence`,
  );
  let ready: (address: string) => void = () => undefined;
  const whenReady = new Promise<string>((resolve) => {
    ready = resolve;
  });
  const policyFor = async (role: string, code?: Uint8Array) => {
    const measured = await measureServing();
    const measurements = code === undefined ? measured : { ...measured, code };
    return await simulatedPolicy({
      ...{ crypto, role, measurements },
      root: owner.root.publicKey,
      identity: owner.identity.publicKey,
    });
  };
  await using server = await launchServing({
    config: {
      listen: { host: "127.0.0.1", port: 0 },
      repository,
      digests: { "spam/1": digest },
      sealed: true,
      pollMs: 0,
      batching: { maxRows: 1, maxDelayMs: 0, queue: 1_024 },
      clients: "any",
    },
    policy: await policyFor("client"),
    ...launchOf(owner, io),
    modelKey,
    onEvent: (event) => {
      if (event.type === "ready") ready(event.address);
    },
  });
  const early = server.result.then(() => {
    throw new CliError("internal", "The demo's server ended early.");
  });
  early.catch(() => undefined);
  const address = await Promise.race([whenReady, early]);
  const at = { host: "127.0.0.1", port: Number(address.split(":").at(-1)) };
  // The client expects other code: to it, this server is the impostor.
  const impostorRefused = await openChannel(
    at,
    await policyFor("server", new Uint8Array(32)),
    {},
    io.signal,
  ).then(
    async (channel) => {
      await channel.close();
      return false;
    },
    (error: Error) => error.message.includes("measurement.code"),
  );
  say(
    `  a client that expects other code refuses the server before it sends a byte: ${impostorRefused ? "yes" : "NO"}`,
  );
  await using channel = await openChannel(at, await policyFor("server"), {}, io.signal);
  say("  a client verifies the server (SIMULATED evidence), then asks over the channel it got:");
  const asked = await ask(channel, digest, io);
  const { bytes: receipt } = asked.receipt;
  const verified = await verifyReceipt(receipt, { crypto, identities: [owner.fingerprint] });
  const receiptVerified = (verified.body as { readonly digest?: string }).digest === digest;
  say(
    `  ${asked.right} of ${questions} e-mails told right, ${Math.round(asked.perSecond)} answers a second, one after the other`,
  );
  say(
    `  a signed receipt names the model ${toHex(verified.commitments["input"] as Uint8Array).slice(0, 16)}… is a commitment to the question, which only the client can open`,
  );
  return {
    digest,
    questions,
    right: asked.right,
    // As good as in training, on a sample of all e-mails.
    agreed: asked.right >= 0.95 * questions,
    impostorRefused,
    receiptVerified,
    simulated: true,
  };
}

const launchOf = ({ identity, root }: DemoParty, io: Io) => ({
  identity,
  attestation: { kind: "simulated" as const, root },
  limits: { threads: 1 },
  signal: io.signal,
});

async function ask(channel: Channel, digest: string, io: Io) {
  const [emails = []] = deal((await loadEmails(io.env)).rows, 30);
  const sample = emails.slice(0, questions);
  let right = 0;
  const begin = performance.now();
  for (const { text, label } of sample) {
    const inputs = new Map([["text", { dtype: "text" as const, shape: [1], values: [text] }]]);
    const { outputs } = await predict(channel, { model: "spam", inputs, digest });
    const answer = outputs.get("label");
    if (answer === undefined || answer.dtype === "text")
      throw new CliError("internal", "The answer has no label.");
    if (new BigInt64Array(answer.data.slice().buffer)[0] === BigInt(label)) right++;
  }
  const perSecond = (1000 * sample.length) / (performance.now() - begin);
  const inputs = new Map([
    ["text", { dtype: "text" as const, shape: [1], values: ["free money"] }],
  ]);
  const { receipt } = await predict(channel, { model: "spam", inputs, digest, receipt: true });
  if (receipt === undefined) throw new CliError("internal", "The server gave no receipt.");
  return { right, perSecond, receipt };
}
