/** Operations: what a process tells about itself, and nothing that was not declared. */
export type { EventEntry, FieldKind } from "./catalogue.ts";
export { eventCatalogue } from "./catalogue.ts";
export type { OpsErrorCode } from "./errors.ts";
export { OpsError, opsErrorClass, opsErrorCodes } from "./errors.ts";
export type { CatalogueLog, LogOptions } from "./log.ts";
export { createLog, logLimits } from "./log.ts";
export type { Metrics, MetricsOptions } from "./metrics.ts";
export { countEvents, createMetrics, metricLabels } from "./metrics.ts";
export type { OpsLimits, OpsOptions, OpsServer } from "./serve.ts";
export { opsLimits, serveOps } from "./serve.ts";
