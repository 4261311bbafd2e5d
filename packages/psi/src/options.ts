/** Options of a run, and its result. */
import { type Clock, type Random, systemClock, systemRandom } from "@vivarium/core";
import type { PsiCheckpoint } from "./checkpoint.ts";
import type { PsiConfig, PsiMode, PsiProtocol } from "./config.ts";
import { PsiError } from "./errors.ts";
import { type Executor, inlineExecutor } from "./executor.ts";
import type { PsiBatch } from "./input.ts";
import { psiLimits } from "./limits.ts";
import type { PsiStatistics } from "./payload.ts";
import type { PsiProgress } from "./progress.ts";

export interface PsiOptions {
  readonly config: PsiConfig;
  /** The own keys; read once. */
  readonly input: AsyncIterable<PsiBatch>;
  /**
   * Needed by protocol `attested`, and by the sender in mode `sum`: this side's policy says that the peer's
   * TEE may be trusted with its items, or with the numbers of common items. No default.
   */
  readonly teeTrust?: "accepted";
  /**
   * Lets the run go on after a crash, with a peer that has its own; protocol `ecdh` only. The caller
   * clears it when the result is safe.
   */
  readonly checkpoint?: PsiCheckpoint;
  /** Keys in the input, for progress only. */
  readonly inputKeys?: number;
  /** Which rows stand for an item that occurs more than once. Default `all`. */
  readonly duplicates?: "all" | "first";
  /** Default: in this thread. */
  readonly executor?: Executor;
  /** Cancels the run on both sides. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: PsiProgress) => void;
  /** Longest silence of the peer in milliseconds, heartbeats included. Default 300,000. */
  readonly idleTimeoutMs?: number;
  readonly random?: Random;
  readonly clock?: Clock;
}

export interface PsiResult {
  readonly role: "receiver" | "sender";
  /** `attested`: the sets were kept apart by the parties' TEEs alone. */
  readonly protocol: PsiProtocol;
  readonly mode: PsiMode;
  readonly resultTo: "receiver" | "both";
  /** Items in common; absent where this side is not to know. */
  readonly matches: number | undefined;
  /** Rising row numbers of the own rows in common; only of intersections that this side is to know. */
  readonly rows: Uint32Array<ArrayBuffer> | undefined;
  /** In mode `labels`: the label of each of `rows`, in the form of a batch's payload. */
  readonly labels?: { readonly bytes: Uint8Array; readonly offsets: Uint32Array };
  /** In mode `sum`, of the receiver. */
  readonly statistics?: PsiStatistics;
  /** Keys read, duplicates included. */
  readonly keys: number;
  /** Distinct own items. */
  readonly items: number;
  /** Distinct items of the peer. */
  readonly peerItems: number;
  /** Whether the run went on from a checkpoint. */
  readonly resumed: boolean;
  /** Protocol bytes of this connection, without the channel's own. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Milliseconds from the beginning of each phase to the end of the run. */
  readonly timings: Readonly<Record<string, number>>;
  /** SHA-256 each. Equal on both sides: session, configuration, transcript. */
  readonly session: Uint8Array<ArrayBuffer>;
  readonly configDigest: Uint8Array<ArrayBuffer>;
  readonly transcript: Uint8Array<ArrayBuffer>;
  /** Digest of the own keys in order. Private: of a guessable set it is as good as the set. */
  readonly inputDigest: Uint8Array<ArrayBuffer>;
}

/** Options with every default filled in. */
export interface ResolvedOptions extends PsiOptions {
  readonly duplicates: "all" | "first";
  readonly executor: Executor;
  readonly idleTimeoutMs: number;
  readonly random: Random;
  readonly clock: Clock;
}

export function resolveOptions(options: PsiOptions): ResolvedOptions {
  const idleTimeoutMs = options.idleTimeoutMs ?? psiLimits.idleTimeoutMs;
  if (!(idleTimeoutMs > 0)) {
    throw new PsiError("invalid-argument", "idleTimeoutMs must be positive.");
  }
  return {
    ...options,
    duplicates: options.duplicates ?? "all",
    executor: options.executor ?? inlineExecutor(),
    idleTimeoutMs,
    random: options.random ?? systemRandom(),
    clock: options.clock ?? systemClock(),
  };
}
