/** Formats of tensors and models, and engines that run them. */
export type { LabelledImages } from "./cifar.ts";
export { decodeCifar10, decodeCifar100 } from "./cifar.ts";
export type { Model, ModelSpec, TextTensor, Value, ValueSpec } from "./engine.ts";
export type { TensorsErrorCode } from "./errors.ts";
export { TensorsError, tensorsErrorClass, tensorsErrorCodes } from "./errors.ts";
export { decodeIdx, encodeIdx } from "./idx.ts";
export type { LinearWeights } from "./linear.ts";
export { bytesOfFloats, encodeLinear, floatsOf, linearModel } from "./linear.ts";
export { decodeNpy, encodeNpy } from "./npy.ts";
export type { DirichletOptions, Parts, Split } from "./partition.ts";
export {
  partitionDirichlet,
  partitionIid,
  partitionNatural,
  partitionShards,
  splitRows,
} from "./partition.ts";
export type { TensorFile } from "./safetensors.ts";
export { decodeSafetensors, encodeSafetensors, safetensorsLimits } from "./safetensors.ts";
export { hashText } from "./text.ts";
