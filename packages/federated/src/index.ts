/** Federated learning between attested parties. */
export type {
  AggregatorEvent,
  AggregatorOptions,
  FederatedResult,
  RoundReceiptBody,
} from "./aggregator.ts";
export { aggregate, runIdOf, welcome } from "./aggregator.ts";
export { federatedBundle } from "./bundle.ts";
export type { FederatedErrorCode } from "./errors.ts";
export { FederatedError, federatedErrorClass, federatedErrorCodes } from "./errors.ts";
export type { Journal, RoundMetrics } from "./journal.ts";
export { memoryJournal, sealedJournal } from "./journal.ts";
export type { FederatedRole, FederatedWorker, LaunchFederatedOptions } from "./launch.ts";
export { launchFederated } from "./launch.ts";
export { initialParameters, trainerOf } from "./learn/model.ts";
export type { Evaluation, FitResult, FitSettings, Trainer } from "./learn/trainer.ts";
export type { Member, MemberChannel } from "./members.ts";
export { Members } from "./members.ts";
export type { ParticipantMemory } from "./memory.ts";
export { sealedMemory, sealedState, volatileMemory } from "./memory.ts";
export type { CohortRule, ParticipantEvent, ParticipantOptions } from "./participant.ts";
export { participate } from "./participant.ts";
export type {
  FederatedPlan,
  ModelPlan,
  PrivacyPlan,
  StrategyPlan,
  TrainingPlan,
} from "./plan.ts";
export { planDigest, readPlan, strategyNames, strategyOf } from "./plan.ts";
export { epsilonOf } from "./privacy/accountant.ts";
export type { DataSplit, Simulation, SimulationOptions } from "./simulate.ts";
export { centralBaseline, simulate } from "./simulate.ts";
export type { Spool } from "./spool.ts";
export { fileSpool, memorySpool } from "./spool.ts";
export type {
  AdaptiveOptions,
  AggregateInput,
  AggregateResult,
  ExactSum,
  FitUpdate,
  MeanInput,
  MeanRule,
  Strategy,
  StrategyState,
  SumLimits,
} from "./strategies/index.ts";
export {
  bulyan,
  clipNorm,
  coordinateMedian,
  discountStale,
  exactSum,
  fedAdagrad,
  fedAdam,
  fedAvg,
  fedAvgM,
  fedNova,
  fedProx,
  fedYogi,
  geometricMedian,
  krum,
  norm,
  qFedAvg,
  scaffold,
  sumLimits,
  trimmedMean,
} from "./strategies/index.ts";
export type { FederatedWorkerConfig } from "./worker/config.ts";
export type {
  AggregatorSummary,
  FederatedWorkerEvent,
  ParticipantSummary,
  PeerRecord,
} from "./worker/events.ts";
