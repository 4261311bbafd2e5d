/** Configuration of the serving trust domain: what the launcher hands to it, and its evidence covers. */
import type { Encodable } from "@vivarium/core";
import { ServingError } from "../errors.ts";
import type { VersionPolicy } from "../repository.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface ServingWorkerConfig {
  /** Where attested channels are taken. */
  readonly listen: HostPort;
  /** Where the REST dialects are, in clear: a loopback address. */
  readonly rest?: HostPort;
  /** Absolute path of the model repository. */
  readonly repository: string;
  readonly policies?: Readonly<Record<string, VersionPolicy>>;
  readonly labels?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** SHA-256 by `model/version`: in the evidence, so that clients know which models a server can have. */
  readonly digests?: Readonly<Record<string, string>>;
  /** The launcher's first message is the key of sealed models. */
  readonly sealed: boolean;
  /** Milliseconds between looks at the repository; 0: once. */
  readonly pollMs: number;
  readonly batching: {
    readonly maxRows: number;
    readonly maxDelayMs: number;
    readonly queue: number;
  };
  /** `any`: clients verify the server and prove nothing; `attested`: both verify, by the policy. */
  readonly clients: "any" | "attested";
  readonly collateral?: Readonly<Record<string, Uint8Array>>;
}

/** @throws ServingError `invalid-argument`. */
export function readWorkerConfig(value: Encodable): ServingWorkerConfig {
  const config = mapOf("config", value);
  for (const name of ["listen", "rest"]) {
    if (name === "rest" && config[name] === undefined) continue;
    const { host, port } = mapOf(name, config[name]);
    if (typeof host !== "string" || typeof port !== "number")
      invalid(`${name} needs host and port`);
  }
  if (config["rest"] !== undefined) requireLoopback(String(mapOf("rest", config["rest"])["host"]));
  if (typeof config["repository"] !== "string") invalid("repository must be a path");
  if (typeof config["sealed"] !== "boolean") invalid("sealed must be yes or no");
  if (!Number.isSafeInteger(config["pollMs"])) invalid("pollMs must be a whole number");
  const batching = mapOf("batching", config["batching"]);
  for (const name of ["maxRows", "maxDelayMs", "queue"]) {
    if (!Number.isSafeInteger(batching[name])) invalid(`batching.${name} must be a whole number`);
  }
  if (config["clients"] !== "any" && config["clients"] !== "attested") {
    invalid("clients must be any or attested");
  }
  return config as unknown as ServingWorkerConfig;
}

/** Inputs in clear must not cross a network that the operator can listen to. */
function requireLoopback(host: string): void {
  const loopback = host === "::1" || host === "localhost" || /^127(\.\d{1,3}){3}$/.test(host);
  if (!loopback) invalid("rest must listen on a loopback address: its inputs are in clear");
}

function mapOf(name: string, value: Encodable | undefined): { readonly [name: string]: Encodable } {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  return isMap
    ? (value as { readonly [name: string]: Encodable })
    : invalid(`${name} must be a map`);
}

function invalid(what: string): never {
  throw new ServingError("invalid-argument", `The worker's configuration is wrong: ${what}.`);
}
