/** Inference serving that the operator cannot look into. */
export type { Batcher, BatchingOptions, SubmitOptions } from "./batcher.ts";
export { createBatcher, defaultBatching, measureBatching } from "./batcher.ts";
export { servingBundle } from "./bundle.ts";
export type { Answer, AnswerReceiptInput, PredictRequest, ServeOptions } from "./channel.ts";
export { predict, serveChannel } from "./channel.ts";
export type {
  CoreOptions,
  ModelRef,
  ModelStats,
  Prediction,
  Refresh,
  ServedModel,
} from "./core.ts";
export { ServingCore } from "./core.ts";
export type { ServingErrorCode } from "./errors.ts";
export { ServingError, servingErrorClass, servingErrorCodes } from "./errors.ts";
export type { LaunchServingOptions, ServingWorker } from "./launch.ts";
export { launchServing } from "./launch.ts";
export { servingLimits } from "./limits.ts";
export type { LoadedModel, RepositoryOptions, VersionPolicy } from "./repository.ts";
export { loadModel, scanRepository } from "./repository.ts";
export type { RestOptions, RestServer } from "./rest/http.ts";
export { serveRest } from "./rest/http.ts";
export { sealModel } from "./seal.ts";
export type { Values } from "./values.ts";
export type { ServingWorkerConfig } from "./worker/config.ts";
export type { ServingSummary, ServingWorkerEvent } from "./worker/events.ts";
