/** Which TensorFlow.js backend runs, and why. One per process: TF.js keeps it globally. */
import { createRequire } from "node:module";
import * as tf from "@tensorflow/tfjs-core";
import * as layers from "@tensorflow/tfjs-layers";
import { TensorsError } from "../errors.ts";
import { registerCpuKernels, registerWasmKernels } from "./kernels.ts";
import { installMethods } from "./methods.ts";

/** `tensorflow` is native (`@tensorflow/tfjs-node`), `wasm` the default, `cpu` plain JavaScript. */
export type BackendName = "tensorflow" | "wasm" | "cpu";

export interface TensorFlow {
  readonly backend: BackendName;
  /** One line: what runs, and what was tried before it. */
  readonly reason: string;
  readonly tf: typeof tf;
  readonly layers: typeof layers;
}

export interface TensorFlowOptions {
  /** The fastest that works unless given; a name forces that one or fails. */
  readonly backend?: BackendName;
  /** Folder of the three `.wasm` files, ending in a slash, where they do not lie in their package (bundles). */
  readonly wasmDirectory?: string;
}

const order: readonly BackendName[] = ["tensorflow", "wasm", "cpu"];

/**
 * Starts the fastest backend, or the one that is asked for.
 * @throws TensorsError `unsupported` where the one asked for does not work here.
 */
export async function openTensorFlow(options: TensorFlowOptions = {}): Promise<TensorFlow> {
  // Before any backend is imported: they print an advertisement for tfjs-node otherwise.
  tf.enableProdMode();
  installMethods();
  const tried: string[] = [];
  for (const backend of options.backend === undefined ? order : [options.backend]) {
    const problem = await start(backend, options.wasmDirectory);
    if (problem === undefined) {
      return { backend, reason: [await describe(backend), ...tried].join("; "), tf, layers };
    }
    tried.push(`${backend}: ${problem}`);
  }
  throw new TensorsError(
    "unsupported",
    `No TensorFlow.js backend works here: ${tried.join("; ")}. Reinstall with npm ci, or ask for another backend.`,
  );
}

async function describe(backend: BackendName): Promise<string> {
  if (backend === "tensorflow") return "tensorflow: native, from @tensorflow/tfjs-node";
  if (backend === "cpu") return "cpu: plain JavaScript, up to hundreds of times slower";
  const simd = (await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")) === true;
  return `wasm: one thread ${simd ? "with" : "without"} SIMD, with gradient kernels of our own`;
}

/** @returns why it does not run, or nothing if it does. */
async function start(
  backend: BackendName,
  wasmDirectory: string | undefined,
): Promise<string | undefined> {
  try {
    if (backend === "tensorflow") await importNative();
    else if (backend === "cpu") {
      await import("@tensorflow/tfjs-backend-cpu");
      registerCpuKernels();
    } else {
      const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
      registerWasmKernels();
      if (wasmDirectory !== undefined) setWasmPaths(wasmDirectory);
    }
    if (tf.findBackendFactory(backend) == null) {
      return "installed beside another copy of @tensorflow/tfjs-core";
    }
    return (await tf.setBackend(backend)) ? undefined : "did not start";
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : undefined;
    return code === "ERR_MODULE_NOT_FOUND"
      ? "not installed"
      : `cannot be loaded (${code ?? "see the cause"})`;
  }
}

/** tfjs-node 4.22 calls functions of `util` that Node 23 has removed (tfjs#8609). */
async function importNative(): Promise<void> {
  const util = createRequire(import.meta.url)("node:util") as Record<string, unknown>;
  util["isNullOrUndefined"] ??= (value: unknown) => value === null || value === undefined;
  util["isArray"] ??= Array.isArray;
  // An optional peer: the name is no constant, so that types and bundles do without it.
  const name: string = "@tensorflow/tfjs-node";
  await import(name);
}
