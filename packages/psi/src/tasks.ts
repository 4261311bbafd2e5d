/**
 * The work of a pool's thread. The bundle's tasks entry registers these by name; the executor calls
 * them. A scalar crosses to the threads of its own trust domain as a handle.
 */
import type { KeyObject } from "node:crypto";
import {
  type Curve25519Engine,
  keyedDigests,
  type ScalarKey,
  selectEngine,
} from "@vivarium/curve25519";
import { hashItems, maskPoints } from "./masking.ts";
import { openPayloads, sealPayloads } from "./sealing.ts";
import { tagsOf } from "./truncate.ts";

export interface HashTask {
  readonly engine: Curve25519Engine["name"];
  readonly items: Uint8Array;
  readonly offsets: Uint32Array;
  readonly session: Uint8Array;
}

export interface KeyedTask {
  readonly key: KeyObject;
  readonly items: Uint8Array;
  readonly offsets: Uint32Array;
  /** Bytes of a keyed hash. */
  readonly width: number;
}

export interface PayloadTask {
  readonly keys: Uint8Array;
  readonly payloads: Uint8Array;
  /** Bytes of a payload before it is sealed. */
  readonly bytes: number;
}

export interface MultiplyTask {
  readonly engine: Curve25519Engine["name"];
  readonly scalar: ScalarKey;
  readonly points: Uint8Array;
}

export interface EvaluateTask extends MultiplyTask {
  readonly session: Uint8Array;
  /** Bytes of a tag. */
  readonly width: number;
}

const engines = new Map<string, Curve25519Engine>();

function engineOf(name: Curve25519Engine["name"]): Curve25519Engine {
  let engine = engines.get(name);
  if (engine === undefined) {
    engine = selectEngine(name).engine;
    engines.set(name, engine);
  }
  return engine;
}

/** Tasks by the name they are registered under. */
export const psiTasks = {
  /** Items to points. */
  "psi.hash": (task: HashTask): Uint8Array<ArrayBuffer> =>
    hashItems(engineOf(task.engine), task.items, task.offsets, task.session),
  /** Items to keyed hashes. */
  "psi.keyed": (task: KeyedTask): Uint8Array<ArrayBuffer> =>
    keyedDigests(task.key, task.items, task.offsets, task.width),
  /** Payloads under the keys of their items, and back. */
  "psi.seal": (task: PayloadTask): Uint8Array<ArrayBuffer> =>
    sealPayloads(task.keys, task.payloads, task.bytes),
  "psi.open": (task: PayloadTask): Uint8Array<ArrayBuffer> =>
    openPayloads(task.keys, task.payloads, task.bytes),
  /** Points under a scalar: the first round. */
  "psi.multiply": (task: MultiplyTask): Uint8Array<ArrayBuffer> =>
    maskPoints(engineOf(task.engine), task.scalar, task.points),
  /** The peer's points under a scalar, hashed and truncated: the second round. */
  "psi.evaluate": (task: EvaluateTask): Uint8Array<ArrayBuffer> =>
    tagsOf(maskPoints(engineOf(task.engine), task.scalar, task.points), task.session, task.width),
} as const;
