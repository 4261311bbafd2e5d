/** Configuration of the federated trust domain: what the launcher hands to it. */
import type { Encodable } from "@vivarium/core";
import { FederatedError } from "../errors.ts";
import type { CohortRule } from "../participant.ts";
import { type FederatedPlan, readPlan } from "../plan.ts";
import type { Fields } from "../wire.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** The role comes from the launch: the aggregator listens, participants connect. */
export interface FederatedWorkerConfig {
  readonly plan: FederatedPlan;
  readonly listen?: HostPort;
  readonly connect?: HostPort;
  /** Milliseconds that a participant tries to reach the aggregator before it gives up. */
  readonly timeoutMs: number;
  /**
   * Directory of the sealed state, absolute; its key is the launcher's first message, 32 bytes. Without
   * one a run that is killed begins again.
   */
  readonly state?: string;
  /** Aggregator: file to write the model to, safetensors, absolute. */
  readonly output?: string;
  /** Participant: JSON lines, absolute, and the share of them that is only tested on. */
  readonly data?: { readonly path: string; readonly testShare: number };
  /** Participant: whose updates a round must hold before its own is opened. */
  readonly cohort?: CohortRule;
  /** What hardware evidence of peers is verified with, by name. */
  readonly collateral?: Readonly<Record<string, Uint8Array>>;
}

/** @throws FederatedError `invalid-argument`. */
export function readWorkerConfig(value: Encodable): FederatedWorkerConfig {
  const config = mapOf("config", value);
  const plan = readPlan(config["plan"]);
  for (const name of ["listen", "connect"]) {
    if (config[name] === undefined) continue;
    const { host, port } = mapOf(name, config[name]);
    if (typeof host !== "string" || typeof port !== "number")
      invalid(`${name} needs host and port`);
  }
  if ((config["listen"] === undefined) === (config["connect"] === undefined)) {
    invalid("exactly one of listen and connect must be given");
  }
  if (!Number.isSafeInteger(config["timeoutMs"])) invalid("timeoutMs must be a whole number");
  for (const name of ["state", "output"]) {
    if (config[name] !== undefined && typeof config[name] !== "string") {
      invalid(`${name} must be a path`);
    }
  }
  if (config["data"] !== undefined) {
    const { path, testShare } = mapOf("data", config["data"]);
    const share = typeof testShare === "number" && testShare >= 0 && testShare < 1;
    if (typeof path !== "string" || !share) invalid("data needs a path and a testShare under 1");
  }
  if (config["cohort"] !== undefined) {
    const { identities, minimum } = mapOf("cohort", config["cohort"]);
    const list = Array.isArray(identities) && identities.every((item) => typeof item === "string");
    if (!(identities === "any" || list) || !Number.isSafeInteger(minimum)) {
      invalid("cohort needs identities, or any, and a minimum");
    }
  }
  const { collateral } = config;
  if (
    collateral !== undefined &&
    !Object.values(mapOf("collateral", collateral)).every((entry) => entry instanceof Uint8Array)
  ) {
    invalid("collateral must be bytes by name");
  }
  return { ...(config as unknown as FederatedWorkerConfig), plan };
}

function mapOf(name: string, value: Encodable | undefined): Fields {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  return isMap ? (value as Fields) : invalid(`${name} must be a map`);
}

function invalid(what: string): never {
  throw new FederatedError("invalid-argument", `The worker's configuration is wrong: ${what}.`);
}
