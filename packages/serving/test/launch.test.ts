/** The measured server: sealed models, attested answers, receipts, and clients that will not be fooled. */
import { createHash } from "node:crypto";
import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAppraiser, fingerprint, type Policy } from "@vivarium/attestation";
import { simulatedVerifier } from "@vivarium/attestation/simulated";
import {
  type Channel,
  connectTls,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
} from "@vivarium/channel";
import { type Signer, silentLog, systemClock, systemRandom, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { commit, Secret, secretKeyWrapper, verifyReceipt } from "@vivarium/seal";
import { manifestDigest } from "@vivarium/workers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  launchServing,
  predict,
  type ServingWorker,
  type ServingWorkerConfig,
  type ServingWorkerEvent,
  sealModel,
  servingBundle,
} from "../src/index.ts";
import { floats, freshDirectory, linearBytes, numbers, sigmoid } from "./support.ts";

const crypto = nodeCrypto();
const clock = systemClock();
const random = systemRandom();
const bundle = servingBundle().replace("/src/", "/dist/");
const key = new Uint8Array(32).fill(9);

let identity: Signer;
let root: Signer;
let repository: string;
let digest: string;
let server: ServingWorker;
let port: number;
const events: ServingWorkerEvent[] = [];

async function policy(
  change: { readonly code?: string; readonly role?: string } = {},
): Promise<Policy> {
  const manifest = new Uint8Array(readFileSync(join(bundle, "manifest.json")));
  const runtime = createHash("sha256");
  for await (const chunk of createReadStream(process.execPath)) runtime.update(chunk as Uint8Array);
  const code = change.code ?? toHex(await manifestDigest(crypto, manifest));
  return {
    version: 1,
    name: "serving test",
    roles: {
      [change.role ?? "server"]: {
        identities: [await fingerprint(crypto, identity.publicKey)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, root.publicKey),
            measurements: { code: [code], runtime: [runtime.digest("hex")] },
            minimumSvn: { svn: 1 },
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds: 300,
          },
        ],
      },
    },
  };
}

const configOf = (change: Partial<ServingWorkerConfig> = {}): ServingWorkerConfig => ({
  listen: { host: "127.0.0.1", port: 0 },
  repository,
  sealed: true,
  pollMs: 50,
  batching: { maxRows: 4, maxDelayMs: 1, queue: 100 },
  clients: "any",
  ...change,
});

async function start(
  config: ServingWorkerConfig,
  onEvent: (event: ServingWorkerEvent) => void,
): Promise<ServingWorker> {
  return await launchServing({
    ...{ bundle, config, identity, onEvent },
    policy: await policy({ role: "client" }),
    attestation: { kind: "simulated", root },
    modelKey: new Secret(key),
    limits: { threads: 1 },
  });
}

/** A client that proves nothing and verifies everything. */
async function ask(held: Policy): Promise<Channel> {
  const tls = await createTlsIdentity({ clock });
  const endpoint = createEndpoint({
    ...{
      mode: "client-verifies-server",
      side: "client",
      role: "client",
      peerRole: "server",
      workload: "serving",
    },
    ...{ crypto, clock, random, log: silentLog, policy: held },
    appraiser: createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock }),
    sessions: createSessionRegistry({ clock }),
  });
  return await endpoint.open(await connectTls({ host: "127.0.0.1", port, key: tls }));
}

beforeAll(async () => {
  identity = await crypto.generateSigner("ES256");
  root = await crypto.generateSigner("ES256");
  repository = freshDirectory();
  const file = join(freshDirectory(), "m.safetensors");
  writeFileSync(file, linearBytes(2));
  const wrapper = secretKeyWrapper("models", new Secret(key));
  digest = await sealModel(file, { repository, name: "m", version: 1, wrapper });
  let ready: (address: string) => void = () => undefined;
  const whenReady = new Promise<string>((resolve) => {
    ready = resolve;
  });
  server = await start(configOf(), (event) => {
    events.push(event);
    if (event.type === "ready") ready(event.address);
  });
  server.result.catch(() => undefined);
  port = Number((await whenReady).split(":").at(-1));
}, 60_000);
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

describe("a measured server", () => {
  test("answers a client that has verified it, with a receipt that opens", async () => {
    await using channel = await ask(await policy());
    const answer = await predict(channel, {
      model: "m",
      inputs: numbers([1, 2], [-9, 0]),
      digest,
      receipt: true,
    });
    expect(answer.model).toEqual({ name: "m", version: 1, digest });
    expect(floats(answer.outputs.get("probabilities"))[1]).toBeCloseTo(sigmoid(5), 5);
    const { receipt } = answer;
    if (receipt === undefined) throw new Error("no receipt");
    const verified = await verifyReceipt(receipt.bytes, {
      crypto,
      identities: [await fingerprint(crypto, identity.publicKey)],
    });
    expect(verified).toMatchObject({
      kind: "serving/answer",
      body: { model: "m", version: 1, digest },
    });
    expect(verified.commitments["input"]).toEqual(
      await commit(crypto, answer.inputDigest, receipt.inputSalt),
    );
    expect(verified.commitments["output"]).toEqual(
      await commit(crypto, answer.outputDigest, receipt.outputSalt),
    );
    // Who has no salt cannot confirm a guess of the input.
    expect(verified.commitments["input"]).not.toEqual(
      await commit(crypto, answer.inputDigest, new Uint8Array(32)),
    );
  });

  test("sends nothing to a server of other code, and takes no answer of another model", async () => {
    await expect(ask(await policy({ code: "00".repeat(32) }))).rejects.toMatchObject({
      code: "refused",
      message: expect.stringContaining("measurement.code"),
    });
    await using channel = await ask(await policy());
    const other = predict(channel, {
      model: "m",
      inputs: numbers([1, 2]),
      digest: "ab".repeat(32),
    });
    await expect(other).rejects.toMatchObject({ code: "wrong-model" });
  });

  test("names what is wrong with a request, without repeating it", async () => {
    await using channel = await ask(await policy());
    const wrong = async (model: string, inputs: Parameters<typeof predict>[1]["inputs"]) =>
      await predict(channel, { model, inputs }).then(
        () => "answered",
        (error: { code: string; message: string }) => `${error.code} ${error.message}`,
      );
    expect(await wrong("none", numbers([1, 2]))).toContain("not-found");
    expect(
      await wrong("m", new Map([["text", { dtype: "text", shape: [1], values: ["my secret"] }]])),
    ).toMatch(/^invalid-argument(?!.*secret)/);
    // The channel lives on.
    expect(await wrong("m", numbers([1, 2]))).toBe("answered");
  });

  test("takes a new version while it serves", async () => {
    await using channel = await ask(await policy());
    const file = join(freshDirectory(), "m.safetensors");
    writeFileSync(file, linearBytes(-7));
    const wrapper = secretKeyWrapper("models", new Secret(key));
    await sealModel(file, { repository, name: "m", version: 2, wrapper });
    for (let tries = 0; ; tries++) {
      const { model, outputs } = await predict(channel, { model: "m", inputs: numbers([1, 2]) });
      const bias = model.version === 1 ? 2 : -7;
      expect(floats(outputs.get("probabilities"))[1]).toBeCloseTo(sigmoid(3 + bias), 5);
      if (model.version === 2) break;
      if (tries > 500) throw new Error("never swapped");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(events.some((event) => event.type === "unloaded" && event.model.version === 1)).toBe(
      true,
    );
  });

  test("does not start without a model that opens, nor with REST on a network", async () => {
    await using none = await start(configOf({ repository: freshDirectory() }), () => undefined);
    await expect(none.result).rejects.toMatchObject({ code: "bad-model" });
    await using open = await start(
      configOf({ rest: { host: "0.0.0.0", port: 0 } }),
      () => undefined,
    );
    await expect(open.result).rejects.toMatchObject({
      code: "invalid-argument",
      message: expect.stringContaining("loopback"),
    });
  }, 60_000);
});
