/**
 * The launcher: measures a bundle and the runtime, runs exactly the bytes it measured, and is the
 * quoting party of simulated evidence. It signs what *it* measured; nothing that the process says
 * about itself enters its evidence.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Duplex, Readable } from "node:stream";
import {
  type Attester,
  type Policy,
  parsePolicy,
  policyDigest,
  type Statement,
} from "@vivarium/attestation";
import { simulatedAttester } from "@vivarium/attestation/simulated";
import {
  type Clock,
  type Crypto,
  type Encodable,
  type ErrorClass,
  type Log,
  type Signer,
  silentLog,
  systemClock,
  throwIfAborted,
} from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { configDigest, flagsDigest } from "./digests.ts";
import { type Exit, WorkersError } from "./errors.ts";
import { runtimeFlags, workerEnvironment } from "./flags.ts";
import { isolate, type WorkerIsolation } from "./isolation.ts";
import { defaultMemoryMb } from "./limits.ts";
import { logLines } from "./lines.ts";
import { manifestDigest } from "./manifest.ts";
import { type Copy, copyBundle } from "./measure.ts";
import { Supervisor } from "./supervisor.ts";

export interface LaunchLimits {
  /** JavaScript heap of the process's main thread in MiB, 64 to 1,048,576. Default 4,096. */
  readonly memoryMb?: number;
  /** All private memory of the process in MiB, buffers included (`RLIMIT_DATA`). Default: none. */
  readonly dataMb?: number;
  /** Open files. Default 4,096. */
  readonly openFiles?: number;
  /** Threads of the pool. Default: the machine's parallelism. */
  readonly threads?: number;
}

export type WorkerEvent =
  | { readonly kind: "state"; readonly state: WorkerState }
  | { readonly kind: "event"; readonly value: Encodable };

export type WorkerState = "ready" | "running" | "draining" | "exited";

export interface LaunchOptions {
  /** Directory that `buildBundle` made. */
  readonly bundle: string;
  /** Role of the policy that this process plays. */
  readonly role: string;
  /** Workload that the identity delegates for, such as `psi`. */
  readonly workload: string;
  /** What this process demands of its peers. */
  readonly policy: Policy;
  /** The workload's configuration; its digest is in the statement. */
  readonly config: Encodable;
  /** The party's long-term identity. Stays here: the process gets a delegation. */
  readonly identity: Signer;
  /**
   * Who signs evidence: a development root; or the platform below this launcher, which then speaks for
   * whatever it launches, so that policies pin the launcher's own image.
   */
  readonly attestation:
    | { readonly kind: "simulated"; readonly root: Signer }
    | { readonly kind: "platform"; readonly attester: Attester };
  readonly limits?: LaunchLimits;
  /** Run as another user, so that the process cannot change its own files. Needs root. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Refuse to launch where a part of the isolation is missing. Default false: see `isolation`. */
  readonly requireIsolation?: boolean;
  /** Directory for the measured copy; not shared between machines. Default: the system's. */
  readonly directory?: string;
  /** Node to measure and run. Default: the one that runs the launcher. */
  readonly executable?: string;
  /** Life of a delegation in milliseconds, 1 minute to 24 hours; renewed at half. Default 12 h. */
  readonly delegationMs?: number;
  /** Time between a request to stop and SIGKILL. Default 10,000. */
  readonly graceMs?: number;
  /** Time for the process to say hello. Default 60,000. */
  readonly startTimeoutMs?: number;
  /** Classes to rebuild the errors of the process with, besides core's and this package's. */
  readonly errorClasses?: readonly ErrorClass[];
  readonly onEvent?: (event: WorkerEvent) => void;
  readonly crypto?: Crypto;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Stops the process. */
  readonly signal?: AbortSignal;
}

/** A launched trust domain. */
export interface Worker extends AsyncDisposable {
  /** Process id of the trust domain itself. */
  readonly pid: number;
  /** What was measured, and the public keys that the process made. */
  readonly statement: Statement;
  /** What the operating system puts around it. */
  readonly isolation: WorkerIsolation;
  readonly state: WorkerState;
  /**
   * What the process's main function returned.
   * @throws WorkersError `killed`, `exited`, `aborted` or `protocol`; or the error of main.
   */
  readonly result: Promise<Encodable>;
  /** Resolves when the process has ended and its files are removed. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Hands a value to `TrustDomain.messages`. */
  send(message: Encodable): void;
  /** Asks the process to drain, waits `graceMs`, then kills its whole group. */
  stop(): Promise<void>;
}

/**
 * Launches a trust domain. Resolves when it has made its keys and has its delegation.
 * @throws WorkersError `invalid-manifest`, `digest-mismatch`, `isolation-unavailable`,
 * `start-failed`, `aborted`; AttestationError `invalid-policy`.
 */
export async function launch(options: LaunchOptions): Promise<Worker> {
  throwIfAborted(options.signal);
  const crypto = options.crypto ?? nodeCrypto();
  const clock = options.clock ?? systemClock();
  const log = options.log ?? silentLog;
  const limits = requireOptions(options);
  const policy = parsePolicy(options.policy);
  const copy = await copyBundle({
    bundle: options.bundle,
    executable: options.executable ?? process.execPath,
    directory: options.directory,
    group: options.user?.gid,
    signal: options.signal,
  });
  try {
    const flags = runtimeFlags({
      memoryMb: limits.memoryMb,
      native: copy.manifest.native.length > 0,
    });
    const measured = {
      runtime: copy.runtime.sha256,
      flags: await flagsDigest(crypto, flags),
      code: await manifestDigest(crypto, copy.manifestBytes),
      policy: new Uint8Array(await policyDigest(crypto, policy)),
      config: await configDigest(crypto, options.config),
    };
    const { attestation } = options;
    const attester: Attester =
      attestation.kind === "platform"
        ? attestation.attester
        : simulatedAttester({ root: attestation.root, crypto, clock, measured });
    const command = await isolate([copy.executable, ...flags, copy.main], {
      user: options.user,
      openFiles: limits.openFiles,
      dataBytes: limits.dataMb === undefined ? undefined : limits.dataMb * 1024 * 1024,
      required: options.requireIsolation ?? false,
    });
    throwIfAborted(options.signal);
    const child = start(command.file, command.args, copy);
    for (const name of ["stdout", "stderr"] as const) {
      logLines(child[name] as Readable, `worker.${name}`, options.role, log, clock);
    }
    const supervisor = new Supervisor({
      child,
      link: child.stdio[3] as Duplex,
      copy,
      isolation: command.isolation,
      attester,
      measured,
      policy,
      limits,
      options: { ...options, crypto, clock, log },
    });
    return await supervisor.ready();
  } catch (error) {
    // The supervisor removes the copy when its process ends; twice does no harm.
    await copy.remove();
    throw error;
  }
}

function start(file: string, args: readonly string[], copy: Copy): ChildProcess {
  return spawn(file, [...args], {
    // Its own session and process group: a signal to the launcher's terminal does not reach it, and
    // one signal to the group reaches all that it started.
    detached: true,
    cwd: copy.directory,
    env: workerEnvironment(),
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    shell: false,
  });
}

/** @internal Limits with their defaults. */
export interface ResolvedLimits {
  readonly memoryMb: number;
  readonly dataMb: number | undefined;
  readonly openFiles: number;
  /** 0: the machine's parallelism. */
  readonly threads: number;
}

function requireOptions(options: LaunchOptions): ResolvedLimits {
  const { limits = {} } = options;
  const within = (name: string, value: number, min: number, max: number): number => {
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new WorkersError("invalid-argument", `${name} must be ${min} to ${max}, not ${value}.`);
    }
    return value;
  };
  if (process.platform !== "linux") {
    throw new WorkersError("start-failed", "Trust domains are launched on Linux only.");
  }
  within("delegationMs", options.delegationMs ?? 43_200_000, 60_000, 86_400_000);
  within("graceMs", options.graceMs ?? 10_000, 0, 3_600_000);
  within("startTimeoutMs", options.startTimeoutMs ?? 60_000, 1, 3_600_000);
  return {
    memoryMb: within("memoryMb", limits.memoryMb ?? defaultMemoryMb, 64, 1_048_576),
    dataMb:
      limits.dataMb === undefined ? undefined : within("dataMb", limits.dataMb, 64, 1_048_576),
    openFiles: within("openFiles", limits.openFiles ?? 4_096, 64, 1_048_576),
    threads: within("threads", limits.threads ?? 0, 0, 256),
  };
}
