/**
 * The native kernel, if it was compiled here. In a measured bundle an import of this module is replaced by
 * the addon itself, which is in the manifest; nothing else is ever loaded.
 */
import { createRequire } from "node:module";

interface Addon {
  /** Names of the kernels that this processor can run, fastest first. */
  readonly kernels: readonly string[];
  multiply(kernel: number, scalar: Uint8Array, points: Uint8Array, out: Uint8Array): void;
  hash(
    kernel: number,
    items: Uint8Array,
    offsets: Uint32Array,
    dst: Uint8Array,
    out: Uint8Array,
  ): void;
  digest(
    prefix: Uint8Array,
    records: Uint8Array,
    recordBytes: number,
    width: number,
    out: Uint8Array,
  ): void;
  keyed(
    key: Uint8Array,
    items: Uint8Array,
    offsets: Uint32Array,
    width: number,
    out: Uint8Array,
  ): void;
  gather(records: Uint8Array, width: number, order: Uint32Array, out: Uint8Array): void;
  recordsAdd(...table: RecordTableArguments): number;
  recordsFind(...table: RecordTableArguments): void;
}

/** Slots, seeds, width, records, size; source and output. */
type RecordTableArguments = [
  slots: Uint32Array,
  seeds: Uint8Array,
  width: number,
  records: Uint8Array,
  size: number,
  source: Uint8Array,
  out: Uint32Array,
];

function load(): Partial<Addon> {
  try {
    return createRequire(import.meta.url)("./native/curve25519.node") as Addon;
  } catch {
    // Not compiled, or for another system: the engines after it are chosen, and say so.
    return {};
  }
}

const loaded = load();

export const kernels: Addon["kernels"] | undefined = loaded.kernels;
export const multiply: Addon["multiply"] | undefined = loaded.multiply;
export const hash: Addon["hash"] | undefined = loaded.hash;
export const digest: Addon["digest"] | undefined = loaded.digest;
export const keyed: Addon["keyed"] | undefined = loaded.keyed;
export const recordsAdd: Addon["recordsAdd"] | undefined = loaded.recordsAdd;
export const recordsFind: Addon["recordsFind"] | undefined = loaded.recordsFind;
export const gather: Addon["gather"] | undefined = loaded.gather;
