/** Measured launch of a trust domain, its pool of registered tasks, and the release gate. */
export type { PortSource, StreamPort } from "./bridge.ts";
export { openPort } from "./bridge.ts";
export { configDigest, flagsDigest } from "./digests.ts";
export type { Exit, WorkersErrorCode } from "./errors.ts";
export { WorkersError, workersErrorClass, workersErrorCodes } from "./errors.ts";
export { runtimeFlags } from "./flags.ts";
export type { WorkerIsolation } from "./isolation.ts";
export type {
  LaunchLimits,
  LaunchOptions,
  Worker,
  WorkerEvent,
  WorkerState,
} from "./launch.ts";
export { launch } from "./launch.ts";
export type { Manifest, ManifestFile } from "./manifest.ts";
export { decodeManifest, encodeManifest, manifestDigest } from "./manifest.ts";
export type { BundleMeasurements, MeasureOptions } from "./measure-bundle.ts";
export { measureBundle } from "./measure-bundle.ts";
export type { Pool, PoolOptions, PoolStats, RunOptions, TasksOf, TypedPool } from "./pool.ts";
export { createPool } from "./pool.ts";
export type { ReleaseGate, ReleaseGateOptions } from "./release.ts";
export { createReleaseGate } from "./release.ts";
export type { Task, TaskHandler, TaskRequest, Tasks } from "./tasks.ts";
export { registerTasks, transfer } from "./tasks.ts";
export type { TrustDomain, TrustDomainOptions } from "./trust-domain.ts";
export { trustDomain } from "./trust-domain.ts";
