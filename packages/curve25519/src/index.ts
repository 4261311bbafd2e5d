/** One scalar times many points of curve25519, and hash to curve, in batches. */

export { digestRecords, keyedDigests } from "./digest.ts";
export type { Curve25519Engine, ScalarKey } from "./engine.ts";
export { curve25519Limits, pointBytes } from "./engine.ts";
export type { Curve25519ErrorCode } from "./errors.ts";
export { Curve25519Error, curve25519ErrorClass, curve25519ErrorCodes } from "./errors.ts";
export { nobleEngine } from "./noble-engine.ts";
export { nodeEngine } from "./node-engine.ts";
export { requireHonestPoints } from "./points.ts";
export { gatherRecords, noRecord, RecordList, RecordTable } from "./records.ts";
export { freshScalar, invertibleScalar, scalarFromBytes } from "./scalar.ts";
export type { SelectedEngine } from "./select.ts";
export { selectEngine, surveyEngines } from "./select.ts";
