/** What the tests share: one bundle, keys, a policy, a launcher that records its log. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fingerprint, type Policy } from "@vivarium/attestation";
import type { Encodable, Log, LogFields, Signer } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { type LaunchOptions, launch, type Worker, type WorkerEvent } from "@vivarium/workers";
import { type Bundle, buildBundle } from "@vivarium/workers/bundle";
import { afterAll } from "vitest";

export const crypto = nodeCrypto();

export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

const directories: string[] = [];
afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** An empty directory that goes with the tests of its file. */
export function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-workers-test-"));
  directories.push(directory);
  return directory;
}

export function buildFixture(outdir: string = freshDirectory()): Promise<Bundle> {
  return buildBundle({
    name: "fixture",
    entry: fixture("main.ts"),
    tasks: fixture("tasks.mjs"),
    outdir,
  });
}

export interface Keys {
  readonly root: Signer;
  readonly identity: Signer;
}

export async function makeKeys(): Promise<Keys> {
  return {
    root: await crypto.generateSigner("ES256"),
    identity: await crypto.generateSigner("ES256"),
  };
}

/** A policy that accepts one code and runtime under one root. */
export async function policyFor(
  keys: Keys,
  measured: { readonly code: string; readonly runtime: string },
  role = "subject",
): Promise<Policy> {
  return {
    version: 1,
    name: "test",
    roles: {
      [role]: {
        identities: [await fingerprint(crypto, keys.identity.publicKey)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, keys.root.publicKey),
            measurements: { code: [measured.code], runtime: [measured.runtime] },
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

export interface LogEntry {
  readonly event: string;
  readonly fields: LogFields;
}

export function recordingLog(): { log: Log; entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  return {
    entries,
    log: { event: (_level, event, fields = {}) => void entries.push({ event, fields }) },
  };
}

export async function start(
  bundle: string,
  keys: Keys,
  config: Encodable,
  options: Partial<LaunchOptions> = {},
): Promise<{ worker: Worker; events: WorkerEvent[]; next: (kind: string) => Promise<void> }> {
  const events: WorkerEvent[] = [];
  const waiting: (() => void)[] = [];
  const worker = await launch({
    bundle,
    role: "subject",
    workload: "psi",
    policy: await policyFor(keys, { code: "00".repeat(32), runtime: "00".repeat(32) }),
    config,
    identity: keys.identity,
    attestation: { kind: "simulated", root: keys.root },
    graceMs: 20_000,
    onEvent: (event) => {
      events.push(event);
      for (const wake of waiting.splice(0)) wake();
    },
    ...options,
  });
  return {
    worker,
    events,
    /** Waits for an event that the process emitted. */
    next: async (value) => {
      while (!events.some((event) => event.kind === "event" && event.value === value)) {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}
