/** Configuration of `federated run`: one YAML file per party, and the plan that all share. */
import { dirname, resolve } from "node:path";
import type { Encodable } from "@vivarium/core";
import { type CohortRule, FederatedError, type FederatedPlan, readPlan } from "@vivarium/federated";
import { CliError } from "../errors/error.ts";
import type { EvidenceSource } from "../evidence/source.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type FederatedDocument, federatedSchema, planSchema } from "./federated-schema.ts";
import { validate } from "./validate.ts";
import { loadYaml, type Problem, problemsError } from "./yaml.ts";

/** A configuration that has passed every check; paths are absolute. */
export interface FederatedConfig {
  readonly role: "aggregator" | "participant";
  readonly identity: string | undefined;
  readonly policy: string;
  readonly plan: FederatedPlan;
  readonly network:
    | { readonly listen: Endpoint; readonly connect?: never }
    | { readonly connect: Endpoint; readonly listen?: never };
  readonly evidence: EvidenceSource;
  readonly tpm: string | undefined;
  readonly collateral: readonly string[];
  readonly stateKey: string | undefined;
  readonly output: string | undefined;
  readonly receipts: string | undefined;
  readonly data: { readonly path: string; readonly testShare: number } | undefined;
  readonly cohort: CohortRule | undefined;
  readonly timeoutMs: number;
  readonly metrics: Endpoint | undefined;
}

/** @throws CliError `invalid-config`, listing every problem with file, line, column and field. */
export async function loadFederatedConfig(path: string): Promise<FederatedConfig> {
  const source = await loadYaml(path, "configuration");
  const checked = validate(federatedSchema, source.value);
  if (!checked.ok) throw problemsError(source, checked.problems);
  const document = checked.value;
  const problems: Problem[] = [...crossCheck(document)];
  const endpoint = (field: "listen" | "connect" | "metrics"): Endpoint | undefined => {
    const written = document[field];
    const parsed = written === undefined ? undefined : parseEndpoint(written, field !== "connect");
    if (typeof parsed === "string") problems.push({ path: [field], message: parsed });
    return typeof parsed === "object" ? parsed : undefined;
  };
  const [listen, connect, metrics] = [endpoint("listen"), endpoint("connect"), endpoint("metrics")];
  if (problems.length > 0) throw problemsError(source, problems);
  const at = (written: string): string => resolve(dirname(path), written);
  const optional = (written: string | undefined): string | undefined =>
    written === undefined ? undefined : at(written);
  const { data } = document;
  return {
    role: document.role,
    identity: document.identity,
    policy: at(document.policy),
    plan: await loadPlan(at(document.plan)),
    network: listen === undefined ? { connect: connect as Endpoint } : { listen },
    evidence: document.evidence,
    tpm: document.tpm,
    collateral: (document.collateral ?? []).map(at),
    stateKey: optional(document.stateKey),
    output: optional(document.output),
    receipts: optional(document.receipts),
    data: data === undefined ? undefined : { ...data, path: at(data.path) },
    cohort: document.cohort,
    timeoutMs: 1000 * (document.timeoutSeconds ?? 3_600),
    metrics,
  };
}

/** @throws CliError `invalid-config`. */
export async function loadPlan(path: string): Promise<FederatedPlan> {
  const source = await loadYaml(path, "plan");
  const checked = validate(planSchema, source.value);
  if (!checked.ok) throw problemsError(source, checked.problems);
  const { version: _version, model, training, strategy, ...rest } = checked.value;
  const { minAvailable, sampleSize = minAvailable } = rest;
  const plan: FederatedPlan = {
    name: rest.name,
    model: { ...model },
    training: { l2: 0, ...training },
    strategy: {
      name: strategy.name,
      settings: strategy.settings ?? {},
      clipNorm: strategy.clipNorm ?? null,
    },
    privacy: rest.privacy ?? null,
    rounds: rest.rounds,
    minAvailable,
    sampleSize,
    minResponses: rest.minResponses ?? Math.min(minAvailable, sampleSize),
    graceMs: Math.round(1000 * (rest.graceSeconds ?? 10)),
    deadlineMs: Math.round(1000 * (rest.deadlineSeconds ?? 600)),
    evaluateEvery: rest.evaluateEvery ?? 1,
    patience: rest.patience ?? 0,
    seed: rest.seed,
  };
  try {
    return readPlan(plan as unknown as Encodable);
  } catch (cause) {
    if (!(cause instanceof FederatedError)) throw cause;
    throw new CliError("invalid-config", `${path}: ${cause.message}`, { cause });
  }
}

function crossCheck(document: FederatedDocument): readonly Problem[] {
  const problems: Problem[] = [];
  const problem = (field: string, message: string): void => {
    problems.push({ path: [field], message });
  };
  const aggregates = document.role === "aggregator";
  const needs = aggregates
    ? (["listen", "output"] as const)
    : (["connect", "data", "cohort"] as const);
  const others = aggregates
    ? (["connect", "data", "cohort"] as const)
    : (["listen", "output"] as const);
  for (const field of needs) {
    if (document[field] === undefined) problem(field, `is required for the ${document.role}`);
  }
  for (const field of others) {
    if (document[field] !== undefined) problem(field, `has no meaning for the ${document.role}`);
  }
  return problems;
}
