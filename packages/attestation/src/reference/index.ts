/** Reference values: recorded, computed or imported; and the policies made of them. */
export type { Imported, ImportOptions } from "./import.ts";
export { importReferences } from "./import.ts";
export type { PolicyRecordOptions } from "./policy.ts";
export { policyRecordOf } from "./policy.ts";
export type { RecordOptions } from "./record.ts";
export { referenceOf } from "./record.ts";
export type {
  ReferenceOrigin,
  ReferenceRecord,
  ReferenceSet,
  ReferenceSource,
} from "./set.ts";
export {
  checkReferences,
  encodeReferences,
  parseReferences,
  referenceLimits,
  referenceOrigins,
} from "./set.ts";
