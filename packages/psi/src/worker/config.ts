/** Configuration of the PSI trust domain: what the launcher hands to it. */
import type { Encodable } from "@vivarium/core";
import type { Curve25519Engine } from "@vivarium/curve25519";
import type { PsiConfig, PsiMode, PsiProtocol } from "../config.ts";
import { PsiError } from "../errors.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A key column as `@vivarium/tables` takes it. */
export interface WorkerKeyColumn {
  readonly column: string;
  readonly as?: string;
  readonly normalise?: readonly string[];
}

export interface WorkerTable {
  /** Absolute. */
  readonly path: string;
  readonly format?: "csv" | "tsv" | "parquet" | "jsonl";
  readonly delimiter?: string;
  readonly header?: boolean;
}

/** The role comes from the launch. One side listens, the other connects, in either role. */
export interface PsiWorkerConfig {
  readonly listen?: HostPort;
  readonly connect?: HostPort;
  readonly input: WorkerTable & {
    readonly keys: readonly WorkerKeyColumn[];
    /** `any`: each key column is an identifier of its own, and one in common is enough. Default `all`. */
    readonly match?: "all" | "any";
  };
  /** Needed where this side learns an intersection. */
  readonly output?: Pick<WorkerTable, "path" | "format"> & {
    /**
     * `matched` (default): rows whose item is common. `unmatched`: all others, those without a key included.
     * `all`: every row, with a column `matched` of 1 or 0.
     */
    readonly rows?: "matched" | "unmatched" | "all";
  };
  /** Default `ecdh`. `attested` needs "psi.attested" in `allow` of every record of the peer's role. */
  readonly protocol?: PsiProtocol;
  readonly mode: PsiMode;
  readonly resultTo: "receiver" | "both";
  /** Of mode `labels`: columns of the sender's table, added to the receiver's output. */
  readonly labels?: NonNullable<PsiConfig["labels"]>;
  /** Of mode `sum`: a column of the sender's table. */
  readonly sum?: NonNullable<PsiConfig["sum"]>;
  readonly maxItems: number;
  readonly minItems: number;
  /**
   * Existing directory, absolute, for the sealed checkpoint of this run alone; its key is the launcher's
   * first message, 32 bytes. With it a run goes on after a crash of either side, or of the network.
   */
  readonly checkpoint?: string;
  /** Milliseconds to wait for the peer to come. */
  readonly timeoutMs: number;
  /** What hardware evidence of the peer is verified with, by name. */
  readonly collateral?: Readonly<Record<string, Uint8Array>>;
  /** Default: the fastest that works. */
  readonly engine?: Curve25519Engine["name"];
}

/**
 * A configuration as it came over the link. Its fine structure was checked by whoever made it, and is
 * checked again where it is used (tables, protocol); here, that the parts are there.
 * @throws PsiError `invalid-argument`.
 */
export function readWorkerConfig(value: Encodable): PsiWorkerConfig {
  const config = recordOf("config", value);
  const listen = config["listen"] === undefined ? undefined : hostPort("listen", config["listen"]);
  const connect =
    config["connect"] === undefined ? undefined : hostPort("connect", config["connect"]);
  if ((listen === undefined) === (connect === undefined)) {
    throw invalid("exactly one of listen and connect must be given");
  }
  const input = recordOf("input", config["input"]);
  if (typeof input["path"] !== "string" || !Array.isArray(input["keys"])) {
    throw invalid("input needs a path and keys");
  }
  if (input["match"] !== undefined && input["match"] !== "all" && input["match"] !== "any") {
    throw invalid("input.match must be all or any");
  }
  for (const key of input["keys"]) {
    if (typeof recordOf("input.keys", key)["column"] !== "string") {
      throw invalid("each of input.keys needs a column");
    }
  }
  if (config["output"] !== undefined) {
    const { path, rows = "matched" } = recordOf("output", config["output"]);
    if (typeof path !== "string") throw invalid("output needs a path");
    if (rows !== "matched" && rows !== "unmatched" && rows !== "all") {
      throw invalid("output.rows must be matched, unmatched or all");
    }
  }
  const { collateral } = config;
  if (
    collateral !== undefined &&
    !Object.values(recordOf("collateral", collateral)).every((entry) => entry instanceof Uint8Array)
  ) {
    throw invalid("collateral must be bytes by name");
  }
  if (config["checkpoint"] !== undefined && typeof config["checkpoint"] !== "string") {
    throw invalid("checkpoint must be a directory");
  }
  if (config["labels"] !== undefined) {
    const { columns, maxBytes } = recordOf("labels", config["labels"]);
    const texts = Array.isArray(columns) && columns.every((name) => typeof name === "string");
    if (!texts || typeof maxBytes !== "number") throw invalid("labels needs columns and maxBytes");
  }
  if (config["sum"] !== undefined) {
    const { column, decimals, minMatches } = recordOf("sum", config["sum"]);
    const numbers = typeof decimals === "number" && typeof minMatches === "number";
    if (typeof column !== "string" || !numbers) {
      throw invalid("sum needs column, decimals and minMatches");
    }
  }
  for (const name of ["maxItems", "minItems", "timeoutMs"]) {
    if (!Number.isSafeInteger(config[name])) throw invalid(`${name} must be a whole number`);
  }
  return config as unknown as PsiWorkerConfig;
}

function hostPort(name: string, value: Encodable): HostPort {
  const { host, port } = recordOf(name, value);
  if (typeof host !== "string" || typeof port !== "number") {
    throw invalid(`${name} needs host and port`);
  }
  return { host, port };
}

function recordOf(name: string, value: Encodable | undefined): Readonly<Record<string, Encodable>> {
  if (
    typeof value !== "object" ||
    value === null ||
    Array.isArray(value) ||
    value instanceof Uint8Array
  ) {
    throw invalid(`${name} must be a map`);
  }
  return value as Readonly<Record<string, Encodable>>;
}

function invalid(what: string): PsiError {
  return new PsiError("invalid-argument", `The worker's configuration is wrong: ${what}.`);
}
