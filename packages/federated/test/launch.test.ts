/** The measured bundle: an aggregator and participants in processes of their own, killed in between. */
import { createHash, randomBytes } from "node:crypto";
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, type Policy } from "@vivarium/attestation";
import { type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { Secret, verifyReceipt } from "@vivarium/seal";
import { manifestDigest } from "@vivarium/workers";
import { afterAll, describe, expect, test } from "vitest";
import {
  type AggregatorSummary,
  type FederatedPlan,
  type FederatedWorkerConfig,
  type FederatedWorkerEvent,
  federatedBundle,
  launchFederated,
} from "../src/index.ts";
import { plan, rowsOf } from "./support.ts";

const crypto = nodeCrypto();
// Tests run from the sources; the bundle is what the build made of them.
const bundle = federatedBundle().replace("/src/", "/dist/");
const directory = mkdtempSync(join(tmpdir(), "vivarium-federated-launch-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

interface Keys {
  readonly identity: Signer;
  readonly root: Signer;
}

const keys = async (): Promise<Keys> => ({
  identity: await crypto.generateSigner("ES256"),
  root: await crypto.generateSigner("ES256"),
});

async function measured(): Promise<{ readonly code: string; readonly runtime: string }> {
  const manifest = new Uint8Array(readFileSync(join(bundle, "manifest.json")));
  const runtime = createHash("sha256");
  for await (const chunk of createReadStream(process.execPath)) runtime.update(chunk as Uint8Array);
  return { code: toHex(await manifestDigest(crypto, manifest)), runtime: runtime.digest("hex") };
}

async function policyOf(role: string, peers: readonly Keys[]): Promise<Policy> {
  const { code, runtime } = await measured();
  return {
    version: 1,
    name: "launch test",
    roles: {
      [role]: {
        identities: await Promise.all(
          peers.map(({ identity }) => fingerprint(crypto, identity.publicKey)),
        ),
        accept: await Promise.all(
          peers.map(async ({ root }) => ({
            type: "simulated" as const,
            isolation: "simulated" as const,
            binding: "session" as const,
            root: await fingerprint(crypto, root.publicKey),
            measurements: { code: [code], runtime: [runtime] },
            minimumSvn: { svn: 1 },
            tcb: ["UpToDate" as const],
            debug: false as const,
            maxAgeSeconds: 300,
          })),
        ),
      },
    },
  };
}

/** So many that the run cannot be over before the kill arrives, on a machine however busy. */
const rounds = 60;
const shared: FederatedPlan = plan({
  rounds,
  minAvailable: 2,
  sampleSize: 2,
  minResponses: 2,
  deadlineMs: 60_000,
});

describe("processes", () => {
  test("two data owners and an aggregator that is killed between rounds", async () => {
    const aggregator = await keys();
    const owners = [await keys(), await keys()];
    const stateKey = randomBytes(32);
    const state = (name: string): string => {
      const path = join(directory, name);
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    };
    let round = 0;
    const receipts: Uint8Array[] = [];
    const events: FederatedWorkerEvent[] = [];
    let listening: (port: number) => void = () => undefined;
    let inRound: () => void = () => undefined;
    const secondRound = new Promise<void>((resolve) => {
      inRound = resolve;
    });
    const start = async (port: number) => {
      const whenListening = new Promise<number>((resolve) => {
        listening = resolve;
      });
      const config: FederatedWorkerConfig = {
        plan: shared,
        listen: { host: "127.0.0.1", port },
        timeoutMs: 60_000,
        state: state("aggregator"),
        output: join(directory, "model.safetensors"),
      };
      const worker = await launchFederated({
        ...{ bundle, config, role: "aggregator", identity: aggregator.identity },
        policy: await policyOf("participant", owners),
        attestation: { kind: "simulated", root: aggregator.root },
        stateKey: new Secret(stateKey),
        limits: { threads: 1 },
        onEvent: (event) => {
          events.push(event);
          if (event.type === "waiting") listening(Number(event.address.split(":").at(-1)));
          if (event.type === "receipt") receipts.push(event.receipt);
          if (event.type === "round") round = event.round;
          if (event.type === "metrics" && event.round === 1) inRound();
        },
      });
      worker.result.catch(() => undefined);
      return { worker, port: await whenListening };
    };
    const first = await start(0);
    const participants = await Promise.all(
      owners.map(async (owner, i) => {
        const data = join(directory, `owner-${i}.jsonl`);
        writeFileSync(
          data,
          rowsOf(i)
            .map((row) => JSON.stringify(row))
            .join("\n"),
        );
        return await launchFederated({
          ...{ bundle, role: "participant", identity: owner.identity },
          config: {
            plan: shared,
            connect: { host: "127.0.0.1", port: first.port },
            timeoutMs: 60_000,
            data: { path: data, testShare: 0.25 },
            cohort: { identities: "any", minimum: 2 },
            state: state(`owner-${i}`),
          },
          stateKey: new Secret(stateKey),
          policy: await policyOf("aggregator", [aggregator]),
          attestation: { kind: "simulated", root: owner.root },
          limits: { threads: 1 },
        });
      }),
    );
    await secondRound;
    process.kill(first.worker.worker.pid, "SIGKILL");
    await first.worker.worker.exited;
    const second = await start(first.port);
    const result = (await second.worker.result) as AggregatorSummary;
    expect(result.rounds).toBe(rounds);
    expect(round).toBe(rounds);
    expect(events.some(({ type }) => type === "resumed")).toBe(true);
    for (const { result: ended } of participants) {
      expect(await ended).toMatchObject({ role: "participant", examples: 30 });
    }
    const model = readFileSync(join(directory, "model.safetensors"));
    const header = JSON.parse(model.subarray(8, 8 + Number(model.readBigUInt64LE())).toString());
    expect(header.weight.shape).toEqual([2, 4]);
    const last = await verifyReceipt(receipts.at(-1) as Uint8Array, {
      crypto,
      identities: [await fingerprint(crypto, aggregator.identity.publicKey)],
    });
    expect(last).toMatchObject({ kind: "federated/round", body: { round: rounds, cohort: 2 } });
    expect(last.parties.map(({ role }) => role)).toEqual(["participant", "participant"]);
    await second.worker[Symbol.asyncDispose]();
    for (const participant of participants) await participant[Symbol.asyncDispose]();
  }, 120_000);

  test("a state without its key, and a plan that is none, are refused by name", async () => {
    const own = await keys();
    const launchWith = async (config: object) =>
      await launchFederated({
        ...{ bundle, role: "aggregator", identity: own.identity },
        config: {
          plan: shared,
          listen: { host: "127.0.0.1", port: 0 },
          timeoutMs: 1000,
          ...config,
        } as FederatedWorkerConfig,
        policy: await policyOf("participant", [own]),
        attestation: { kind: "simulated", root: own.root },
        stateKey: new Secret(new Uint8Array(16)),
      });
    await using bad = await launchWith({ state: directory });
    await expect(bad.result).rejects.toMatchObject({
      code: "invalid-argument",
      message: expect.stringContaining("32 bytes"),
    });
    await using other = await launchWith({
      plan: { ...shared, strategy: { name: "fedsomething", settings: {}, clipNorm: null } },
    });
    await expect(other.result).rejects.toMatchObject({
      domain: "federated",
      code: "invalid-argument",
    });
  }, 60_000);
});
