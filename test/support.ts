/** Two parties with identities, roots and policies of their own, launched from the real bundle. */
import { createHash } from "node:crypto";
import { createReadStream, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, type Policy, type PolicyRecord } from "@vivarium/attestation";
import { channelErrorClass } from "@vivarium/channel";
import { type Encodable, type Signer, toHex, VivariumError } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import {
  type PsiWorkerConfig,
  type PsiWorkerEvent,
  type PsiWorkerSummary,
  psiBundle,
  psiErrorClass,
} from "@vivarium/psi";
import { tablesErrorClass } from "@vivarium/tables";
import { type LaunchOptions, launch, manifestDigest, type Worker } from "@vivarium/workers";
import { afterAll } from "vitest";

export const crypto = nodeCrypto();

export type Role = "receiver" | "sender";
export const other = (role: Role): Role => (role === "receiver" ? "sender" : "receiver");

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** An empty directory that goes with the tests of its file. */
export function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-e2e-"));
  directories.push(directory);
  return directory;
}

export interface Keys {
  readonly identity: Signer;
  readonly root: Signer;
}

export interface World {
  readonly receiver: Keys;
  readonly sender: Keys;
  /** What a policy pins, in hex; taken from the files and not from a launch. */
  readonly measured: { readonly code: string; readonly runtime: string };
}

export async function makeWorld(): Promise<World> {
  const keys = async (): Promise<Keys> => ({
    identity: await crypto.generateSigner("ES256"),
    root: await crypto.generateSigner("ES256"),
  });
  return { receiver: await keys(), sender: await keys(), measured: await measure(psiBundle()) };
}

export async function measure(bundle: string): Promise<World["measured"]> {
  const manifest = new Uint8Array(await readFile(join(bundle, "manifest.json")));
  const runtime = createHash("sha256");
  for await (const chunk of createReadStream(process.execPath)) runtime.update(chunk as Uint8Array);
  return { code: toHex(await manifestDigest(crypto, manifest)), runtime: runtime.digest("hex") };
}

/** A policy that accepts the peer in this role and nobody else. */
export async function policyFor(
  world: World,
  peer: Role,
  record: Partial<PolicyRecord> = {},
  identities?: readonly string[],
): Promise<Policy> {
  const { identity, root } = world[peer];
  return {
    version: 1,
    name: "end to end",
    roles: {
      [peer]: {
        identities: identities ?? [await fingerprint(crypto, identity.publicKey)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, root.publicKey),
            measurements: { code: [world.measured.code], runtime: [world.measured.runtime] },
            minimumSvn: { svn: 1 },
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds: 300,
            ...record,
          },
        ],
      },
    },
  };
}

export interface Started extends Worker {
  readonly seen: readonly PsiWorkerEvent[];
  /** Where the launcher keeps its copy of the bundle. */
  readonly directory: string;
  /** Resolves with the first event that fits; rejects if the worker ends before. */
  until(fits: (event: PsiWorkerEvent) => boolean): Promise<PsiWorkerEvent>;
  /** The port this worker listens on. */
  port(): Promise<number>;
  summary(): Promise<PsiWorkerSummary>;
}

export async function start(
  world: World,
  role: Role,
  config: PsiWorkerConfig,
  options: Partial<LaunchOptions> & {
    readonly onPsiEvent?: (event: PsiWorkerEvent) => void;
  } = {},
): Promise<Started> {
  const { onPsiEvent, ...changes } = options;
  const seen: PsiWorkerEvent[] = [];
  const waiting = new Set<() => void>();
  const directory = freshDirectory();
  const worker = await launch({
    bundle: psiBundle(),
    directory,
    role,
    workload: "psi",
    policy: await policyFor(world, other(role)),
    config: config as unknown as Encodable,
    identity: world[role].identity,
    attestation: { kind: "simulated", root: world[role].root },
    errorClasses: [psiErrorClass, channelErrorClass, tablesErrorClass],
    limits: { threads: 1 },
    onEvent: (event) => {
      if (event.kind !== "event") return;
      const value = event.value as unknown as PsiWorkerEvent;
      seen.push(value);
      onPsiEvent?.(value);
      for (const wake of waiting) wake();
    },
    ...changes,
  });
  const summary = worker.result.then((value) => value as unknown as PsiWorkerSummary);
  summary.catch(() => undefined);
  const until = (fits: (event: PsiWorkerEvent) => boolean): Promise<PsiWorkerEvent> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = seen.find(fits);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
      void worker.exited.then(() => reject(new Error(`ended after ${JSON.stringify(seen)}`)));
    });
  return Object.assign(worker, {
    seen,
    directory,
    until,
    async port() {
      const event = await until(({ type }) => type === "waiting");
      return Number(event.type === "waiting" && event.address.split(":").at(-1));
    },
    summary: () => summary,
  });
}

export interface Ended {
  readonly receiver: PromiseSettledResult<PsiWorkerSummary>;
  readonly sender: PromiseSettledResult<PsiWorkerSummary>;
}

/** Both to their ends, the side that listens first. */
export async function runBoth(
  world: World,
  listens: Role,
  config: (role: Role, at: Pick<PsiWorkerConfig, "listen" | "connect">) => PsiWorkerConfig,
): Promise<Ended> {
  const connects = other(listens);
  await using first = await start(world, listens, config(listens, at("listen", 0)));
  const port = await first.port();
  await using second = await start(world, connects, config(connects, at("connect", port)));
  const [a, b] = await Promise.allSettled([first.summary(), second.summary()]);
  return listens === "receiver" ? { receiver: a, sender: b } : { receiver: b, sender: a };
}

export function at(how: "listen" | "connect", port: number) {
  return { [how]: { host: "127.0.0.1", port } };
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export function resultOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === "rejected") throw settled.reason;
  return settled.value;
}

/** The typed error of a rejection; anything else fails the test. */
export function errorOf(settled: PromiseSettledResult<unknown>): VivariumError {
  if (settled.status === "fulfilled") throw new Error("must not succeed");
  if (!(settled.reason instanceof VivariumError)) throw settled.reason;
  return settled.reason;
}

/** Every file below, relative, sorted. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
}
