/** Strategies: how a server makes new parameters of what the participants send. */
export type { AdaptiveOptions } from "./averages.ts";
export { fedAdagrad, fedAdam, fedAvg, fedAvgM, fedProx, fedYogi } from "./averages.ts";
export { fedNova, qFedAvg, scaffold } from "./corrected.ts";
export { bulyan, coordinateMedian, geometricMedian, krum, trimmedMean } from "./robust.ts";
export type {
  AggregateInput,
  AggregateResult,
  FitUpdate,
  MeanInput,
  MeanRule,
  Strategy,
  StrategyState,
} from "./strategy.ts";
export type { ExactSum, SumLimits } from "./sum.ts";
export { exactSum, sumLimits } from "./sum.ts";
export { clipNorm, clipped, discountStale, norm } from "./wrappers.ts";
