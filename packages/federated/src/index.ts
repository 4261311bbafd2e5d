/** Federated learning between attested parties. */
export type { FederatedErrorCode } from "./errors.ts";
export { FederatedError, federatedErrorClass, federatedErrorCodes } from "./errors.ts";
export type {
  AdaptiveOptions,
  AggregateInput,
  AggregateResult,
  ExactSum,
  FitUpdate,
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
