/** Contracts and small tools that every package stands on. No I/O, no workload noun. */
export {
  concat,
  equalBytes,
  fromBase64Url,
  fromHex,
  fromUtf8,
  lengthPrefixed,
  toBase64Url,
  toHex,
  u32,
  u64,
  utf8,
} from "./bytes.ts";
export type { Clock, ManualClock } from "./clock.ts";
export { manualClock, systemClock } from "./clock.ts";
export type { Encodable } from "./codec.ts";
export { decode, encode } from "./codec.ts";
export type {
  Crypto,
  HashName,
  SignatureAlgorithm,
  Signer,
  SigningAlgorithm,
} from "./crypto.ts";
export type { CoreErrorCode, ErrorClass, ErrorRecord, Tagged } from "./errors.ts";
export {
  CoreError,
  coreErrorClass,
  coreErrorCodes,
  fromErrorRecord,
  throwIfAborted,
  toErrorRecord,
  VivariumError,
} from "./errors.ts";
export type { Label } from "./labels.ts";
export { labels } from "./labels.ts";
export type { DecodeLimits } from "./limits.ts";
export { defaultDecodeLimits, requireWithin, unauthenticatedDecodeLimits } from "./limits.ts";
export type { Log, LogFields, LogLevel } from "./log.ts";
export { silentLog } from "./log.ts";
export type { Random } from "./random.ts";
export { systemRandom } from "./random.ts";
export type { DType, Tensor, TensorLimits } from "./tensors.ts";
export { decodeTensor, elementBytes, encodeTensor } from "./tensors.ts";
