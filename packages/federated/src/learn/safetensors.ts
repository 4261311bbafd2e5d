/**
 * A model as a safetensors file: 8 bytes of the header's length, JSON, then the tensors' bytes.
 * Source: https://github.com/huggingface/safetensors (format, version 0.x).
 */
import { concat, u64, utf8 } from "@vivarium/core";
import type { FederatedPlan } from "../plan.ts";
import { bytesOfFloats } from "../update.ts";

/** Tensors `weight` [classes, features] and `bias` [classes], float32. */
export function encodeModel(
  plan: FederatedPlan,
  parameters: Float32Array,
): Uint8Array<ArrayBuffer> {
  const { classes, features, input } = plan.model;
  const split = 4 * classes * features;
  const end = split + 4 * classes;
  const header = utf8(
    JSON.stringify({
      // Readers must know how features were made of the input.
      __metadata__: { plan: plan.name, model: "linear", input },
      weight: { dtype: "F32", shape: [classes, features], data_offsets: [0, split] },
      bias: { dtype: "F32", shape: [classes], data_offsets: [split, end] },
    }),
  );
  const padding = new Uint8Array((8 - (header.length % 8)) % 8).fill(0x20);
  const length = u64(BigInt(header.length + padding.length)).reverse();
  return concat(length, header, padding, bytesOfFloats(parameters));
}
