/** What the demo's parties bring: shares of the e-mails, identities, policies, and a forgery. */
import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fingerprint, type Policy } from "@vivarium/attestation";
import { type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { type FederatedPlan, federatedBundle } from "@vivarium/federated";
import { decodeManifest, encodeManifest } from "@vivarium/workers";
import { CliError } from "../errors/error.ts";
import { measureFederated } from "./bundle.ts";

/** Seed of the split and of the run. */
export const demoSeed = 2026;

/** Rows dealt out at random, the same each time. */
export function deal<T>(rows: readonly T[], owners: number): readonly (readonly T[])[] {
  const order = rows.map((row, i) => ({
    row,
    // A hash of the place is a draw that needs no generator.
    ticket: createHash("sha256").update(`${demoSeed} ${i}`).digest("hex"),
  }));
  order.sort((a, b) => (a.ticket < b.ticket ? -1 : 1));
  return Array.from({ length: owners }, (_, owner) =>
    order.filter((_each, i) => i % owners === owner).map(({ row }) => row),
  );
}

export const demoPlan = (owners: number): FederatedPlan => ({
  name: "demo",
  model: { kind: "linear", classes: 2, features: 2 ** 15, input: "text" },
  training: { epochs: 6, batchSize: 16, learningRate: 2, l2: 0 },
  strategy: { name: "fedavg", settings: {}, clipNorm: null },
  privacy: null,
  rounds: 5,
  minAvailable: owners,
  sampleSize: owners,
  minResponses: owners,
  graceMs: 5_000,
  deadlineMs: 60_000,
  evaluateEvery: 1,
  patience: 0,
  seed: demoSeed,
});

export interface DemoParty {
  readonly name: string;
  readonly identity: Signer;
  readonly root: Signer;
  readonly fingerprint: string;
}

export async function makeParty(name: string): Promise<DemoParty> {
  const crypto = nodeCrypto();
  const identity = await crypto.generateSigner("ES256");
  const root = await crypto.generateSigner("ES256");
  return { name, identity, root, fingerprint: await fingerprint(crypto, identity.publicKey) };
}

/** Accepts these parties in one role, with the code that is installed here, and nobody else. */
export async function demoPolicy(role: string, peers: readonly DemoParty[]): Promise<Policy> {
  const { code, runtime, flags } = await measureFederated();
  const accept = await Promise.all(
    peers.map(async ({ root }) => ({
      type: "simulated" as const,
      isolation: "simulated" as const,
      binding: "session" as const,
      root: await fingerprint(nodeCrypto(), root.publicKey),
      measurements: { code: [toHex(code)], runtime: [toHex(runtime)], flags: [toHex(flags)] },
      minimumSvn: { svn: 1 },
      tcb: ["UpToDate" as const],
      debug: false as const,
      maxAgeSeconds: 3_600,
    })),
  );
  const identities = peers.map((peer) => peer.fingerprint);
  return { version: 1, name: `demo ${role}`, roles: { [role]: { identities, accept } } };
}

/** Text of a message in the bundle: with one bit of it changed the program stays a program. */
const needle = "The data holds no example to train on";

/** A worker with one byte changed, and a manifest that says so truthfully: only the measurement differs. */
export async function forgeFederated(directory: string): Promise<string> {
  const original = federatedBundle();
  await mkdir(directory);
  for (const name of await readdir(original)) {
    await copyFile(join(original, name), join(directory, name));
  }
  const manifest = decodeManifest(new Uint8Array(await readFile(join(directory, "manifest.json"))));
  const path = join(directory, manifest.main);
  const bytes = await readFile(path);
  const offset = bytes.indexOf(needle);
  if (offset < 0) throw new CliError("internal", "The demo does not know this bundle.");
  bytes[offset] = (bytes[offset] as number) ^ 0x20;
  await writeFile(path, bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const files = manifest.files.map((file) =>
    file.path === manifest.main ? { ...file, sha256 } : file,
  );
  await writeFile(join(directory, "manifest.json"), encodeManifest({ ...manifest, files }));
  return directory;
}
