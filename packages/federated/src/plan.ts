/** What all parties of a run have agreed on: every field is in the digest that they compare. */
import type { Crypto, Encodable } from "@vivarium/core";
import { configDigest } from "@vivarium/workers";
import { FederatedError } from "./errors.ts";
import { epsilonOf } from "./privacy/accountant.ts";
import {
  bulyan,
  clipNorm,
  coordinateMedian,
  fedAdagrad,
  fedAdam,
  fedAvg,
  fedAvgM,
  fedNova,
  fedProx,
  fedYogi,
  geometricMedian,
  krum,
  qFedAvg,
  type Strategy,
  scaffold,
  trimmedMean,
} from "./strategies/index.ts";

/** A linear classifier on hashed words, or on the numbers of a row. */
export interface ModelPlan {
  readonly kind: "linear";
  readonly classes: number;
  /** Features: numbers of a row; or with `text`, buckets that words are hashed to. */
  readonly features: number;
  readonly input: "text" | "numbers";
}

export interface TrainingPlan {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  /** Weight decay. */
  readonly l2: number;
}

export interface StrategyPlan {
  readonly name: string;
  readonly settings: Readonly<Record<string, number>>;
  /** Norm that each update is cut down to; null: none. */
  readonly clipNorm: number | null;
}

/** Gaussian noise on the sum of updates, each bounded, all of equal weight: for one participant more or less. */
export interface PrivacyPlan {
  /** Norm that each update is cut down to. */
  readonly clipNorm: number;
  /** Standard deviation of the noise, over `clipNorm`. */
  readonly noiseMultiplier: number;
  readonly delta: number;
  /** What all rounds together may spend; a plan that would spend more is refused. */
  readonly maxEpsilon: number;
}

export interface FederatedPlan {
  readonly name: string;
  readonly model: ModelPlan;
  readonly training: TrainingPlan;
  readonly strategy: StrategyPlan;
  /** Null: no noise, and no bound on what the model gives away. */
  readonly privacy: PrivacyPlan | null;
  readonly rounds: number;
  /** A round begins when so many participants are there. */
  readonly minAvailable: number;
  /** Participants drawn for a round; at most all that are there. */
  readonly sampleSize: number;
  /** A round ends well with so many updates … */
  readonly minResponses: number;
  /** … and waits this long for the rest of the cohort after that, in milliseconds. */
  readonly graceMs: number;
  /** Longest phase, in milliseconds: waiting for participants, for updates, for their keys. */
  readonly deadlineMs: number;
  /** Evaluate on the participants' test data every so many rounds. */
  readonly evaluateEvery: number;
  /** End when the loss has not fallen for so many evaluations; 0: never. */
  readonly patience: number;
  /** Of draws and initial parameters. */
  readonly seed: number;
}

export function planDigest(crypto: Crypto, plan: FederatedPlan): Promise<Uint8Array<ArrayBuffer>> {
  return configDigest(crypto, plan as unknown as Encodable);
}

/**
 * Checks a plan that came from outside.
 * @throws FederatedError `invalid-argument`, naming the field.
 */
export function readPlan(value: Encodable | undefined): FederatedPlan {
  const plan = recordOf("plan", value, [
    ...["name", "model", "training", "strategy", "privacy", "rounds", "minAvailable", "sampleSize"],
    ...["minResponses", "graceMs", "deadlineMs", "evaluateEvery", "patience", "seed"],
  ]);
  const model = recordOf("plan.model", plan["model"], ["kind", "classes", "features", "input"]);
  const training = recordOf("plan.training", plan["training"], [
    "epochs",
    "batchSize",
    "learningRate",
    "l2",
  ]);
  const strategy = recordOf("plan.strategy", plan["strategy"], ["name", "settings", "clipNorm"]);
  const settings = recordOf("plan.strategy.settings", strategy["settings"]);
  for (const [name, number] of Object.entries(settings))
    finite(`plan.strategy.settings.${name}`, number);
  if (strategy["clipNorm"] !== null) finite("plan.strategy.clipNorm", strategy["clipNorm"]);
  if (model["kind"] !== "linear") invalid("plan.model.kind", "must be linear");
  if (model["input"] !== "text" && model["input"] !== "numbers") {
    invalid("plan.model.input", "must be text or numbers");
  }
  whole("plan.model.classes", model["classes"], 2, 10_000);
  whole("plan.model.features", model["features"], 1, 2 ** 24);
  whole("plan.training.epochs", training["epochs"], 1, 1_000);
  whole("plan.training.batchSize", training["batchSize"], 1, 65_536);
  if (!(finite("plan.training.learningRate", training["learningRate"]) > 0)) {
    invalid("plan.training.learningRate", "must be positive");
  }
  if (!(finite("plan.training.l2", training["l2"]) >= 0))
    invalid("plan.training.l2", "is negative");
  if (typeof plan["name"] !== "string" || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(plan["name"])) {
    invalid("plan.name", "must have a-z, 0-9 and -, at most 63 characters");
  }
  whole("plan.rounds", plan["rounds"], 1, 1_000_000);
  whole("plan.minAvailable", plan["minAvailable"], 1, 100_000);
  const sample = whole("plan.sampleSize", plan["sampleSize"], 1, 100_000);
  const responses = whole("plan.minResponses", plan["minResponses"], 1, 100_000);
  if (responses > sample) invalid("plan.minResponses", "is more than plan.sampleSize");
  whole("plan.graceMs", plan["graceMs"], 0, 86_400_000);
  whole("plan.deadlineMs", plan["deadlineMs"], 1, 86_400_000);
  whole("plan.evaluateEvery", plan["evaluateEvery"], 1, 1_000_000);
  whole("plan.patience", plan["patience"], 0, 1_000_000);
  whole("plan.seed", plan["seed"], 0, 2 ** 32 - 1);
  const checked = plan as unknown as FederatedPlan;
  if (plan["privacy"] !== null) requirePrivacy(plan["privacy"], checked);
  const { minimumUpdates } = strategyOf(checked);
  if (minimumUpdates > responses) {
    invalid("plan.minResponses", `is ${responses}: the strategy needs ${minimumUpdates}`);
  }
  return checked;
}

function requirePrivacy(value: Encodable | undefined, plan: FederatedPlan): void {
  const privacy = recordOf("plan.privacy", value, [
    "clipNorm",
    "noiseMultiplier",
    "delta",
    "maxEpsilon",
  ]);
  for (const [name, number] of Object.entries(privacy)) finite(`plan.privacy.${name}`, number);
  const { clipNorm: bound, noiseMultiplier, delta, maxEpsilon } = plan.privacy as PrivacyPlan;
  if (!(bound > 0 && bound <= 64))
    invalid("plan.privacy.clipNorm", "must be over 0 and at most 64");
  const strategy = strategyOf(plan);
  // Noise is calibrated to one bounded sum: other rules have another sensitivity, or none.
  if (strategy.mean === undefined || strategy.requires.length > 0) {
    invalid(
      "plan.strategy.name",
      `is ${strategy.name}, which cannot be combined with privacy: it needs more than one sum`,
    );
  }
  const epsilon = epsilonOf(noiseMultiplier, plan.rounds, delta);
  if (!(epsilon <= maxEpsilon)) {
    invalid(
      "plan.privacy.maxEpsilon",
      `is ${maxEpsilon}, and ${plan.rounds} rounds spend ${epsilon.toFixed(3)}: fewer rounds or more noise`,
    );
  }
}

type Settings = Readonly<Record<string, number>>;

const strategies: Readonly<Record<string, (settings: Settings) => Strategy>> = {
  fedavg: (settings) => fedAvg(settings),
  fedprox: (settings) => fedProx(settings),
  fedavgm: (settings) => fedAvgM(settings),
  fedadagrad: (settings) => fedAdagrad(settings),
  fedadam: (settings) => fedAdam(settings),
  fedyogi: (settings) => fedYogi(settings),
  scaffold: (settings) => scaffold(settings as { population: number }),
  fednova: () => fedNova(),
  qfedavg: (settings) => qFedAvg(settings),
  median: () => coordinateMedian(),
  trimmedmean: (settings) => trimmedMean(settings),
  krum: (settings) => krum(settings as { byzantine: number }),
  multikrum: (settings) => krum(settings as { byzantine: number; keep: number }),
  bulyan: (settings) => bulyan(settings as { byzantine: number }),
  geometricmedian: (settings) => geometricMedian(settings),
};

/** Names that a plan may have. */
export const strategyNames: readonly string[] = Object.keys(strategies);

/** @throws FederatedError `invalid-argument` for a name that is not known, or settings that it has not. */
export function strategyOf({ strategy }: Pick<FederatedPlan, "strategy">): Strategy {
  const { name, settings, clipNorm: bound } = strategy;
  const make = Object.hasOwn(strategies, name) ? strategies[name] : undefined;
  if (make === undefined) {
    invalid("plan.strategy.name", `must be one of ${strategyNames.join(", ")}`);
  }
  const made = make(settings);
  // A misspelt setting would silently be the default.
  const unknown = Object.keys(settings).find((each) => !Object.hasOwn(made.settings, each));
  if (unknown !== undefined) invalid(`plan.strategy.settings.${unknown}`, `is none of ${name}'s`);
  return bound === null ? made : clipNorm(made, bound);
}

function recordOf(
  name: string,
  value: Encodable | undefined,
  fields?: readonly string[],
): Readonly<Record<string, Encodable>> {
  const isMap =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array);
  if (!isMap) invalid(name, "must be a map");
  const record = value as Readonly<Record<string, Encodable>>;
  if (fields !== undefined) {
    const missing = fields.find((field) => !Object.hasOwn(record, field));
    if (missing !== undefined) invalid(`${name}.${missing}`, "is missing");
    const extra = Object.keys(record).find((field) => !fields.includes(field));
    if (extra !== undefined) invalid(`${name}.${extra}`, "is unknown");
  }
  return record;
}

function finite(name: string, value: Encodable | undefined): number {
  if (typeof value !== "number" || !Number.isFinite(value)) invalid(name, "must be a number");
  return value as number;
}

function whole(name: string, value: Encodable | undefined, from: number, to: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < from || (value as number) > to) {
    invalid(name, `must be a whole number from ${from} to ${to}`);
  }
  return value as number;
}

function invalid(field: string, what: string): never {
  throw new FederatedError("invalid-argument", `${field} ${what}.`);
}
