/** Named limits of this package; the README has them as a table. */
import type { DecodeLimits } from "@vivarium/core";

const mebibyte = 1_048_576;

export const manifestLimits: {
  readonly maxManifestBytes: number;
  readonly maxFiles: number;
  readonly maxFileBytes: number;
  readonly maxRuntimeBytes: number;
} = {
  /** Bytes of `manifest.json`. */
  maxManifestBytes: mebibyte / 4,
  /** Files of one bundle. */
  maxFiles: 256,
  /** Bytes of one file of a bundle. */
  maxFileBytes: 1_024 * mebibyte,
  /** Bytes of the runtime's executable. */
  maxRuntimeBytes: 512 * mebibyte,
};

/** One message between a process and its launcher. Both sides hold the other to it. */
export const linkLimits: DecodeLimits = {
  maxBytes: 16 * 1024 * 1024,
  maxDepth: 24,
  maxArrayLength: 65_536,
  maxMapLength: 4_096,
  maxStringBytes: 1024 * 1024,
  maxBinaryBytes: 16 * 1024 * 1024,
  maxValues: 200_000,
};

export const launchLimits = {
  /** Requests for evidence that one process may have open. */
  maxOpenEvidenceRequests: 16,
  /** Requests for evidence in one minute. */
  maxEvidenceRequestsPerMinute: 600,
  /** Characters of one line of output that reach the log. */
  maxLineChars: 2_048,
  /** Lines of output in one second that reach the log; the rest is counted. */
  maxLinesPerSecond: 200,
  /** Characters of an error's message that come from the process. */
  maxErrorChars: 4_096,
  /** Fields of one log event of the process. */
  maxLogFields: 32,
  /** Messages that wait for `TrustDomain.messages` to be read. */
  maxHeldMessages: 1_024,
} as const;

export const poolLimits = {
  /** Threads of one pool. */
  maxThreads: 256,
  /** Tasks that may wait, by default. */
  queueLength: 1_024,
  /** Objects in one transfer list. */
  maxTransfers: 1_024,
  /** Characters of a task's name. */
  maxNameChars: 128,
} as const;

/** MiB of JavaScript heap of a trust domain unless the launch says otherwise; a measured flag. */
export const defaultMemoryMb = 4_096;
