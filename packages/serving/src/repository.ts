/**
 * Models and numbered versions as TensorFlow Serving and Triton lay them out: `<root>/<model>/<version>/`
 * with `model.safetensors`, or `model.safetensors.sealed` under the key that the server was given.
 */
import { createHash } from "node:crypto";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type KeyWrapper, openSealedFileAt } from "@vivarium/seal";
import { decodeSafetensors, linearModel, type Model } from "@vivarium/tensors";
import { ServingError } from "./errors.ts";
import { servingLimits } from "./limits.ts";

/** Which of a model's versions are served. */
export type VersionPolicy =
  | { readonly kind: "latest"; readonly count: number }
  | { readonly kind: "specific"; readonly versions: readonly number[] };

export interface RepositoryOptions {
  /** Absolute. */
  readonly root: string;
  /** By model; default: the latest one. */
  readonly policies?: Readonly<Record<string, VersionPolicy>>;
  /** Names for versions, by model: `{ spam: { stable: 2, canary: 3 } }`. */
  readonly labels?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** SHA-256 of files that may be served, lower-case hex, by `model/version`; others are refused where it is given. */
  readonly digests?: Readonly<Record<string, string>>;
  /** For sealed models. */
  readonly wrapper?: KeyWrapper;
}

/** A version that is loaded. */
export interface LoadedModel {
  readonly name: string;
  readonly version: number;
  /** SHA-256 of the plain file, lower-case hex: what evidence and clients pin. */
  readonly digest: string;
  readonly sealed: boolean;
  readonly model: Model;
}

export const sealedType = "application/vnd.vivarium.model";
/** Name inside a sealed model's file: another model or version put in its place does not open. */
export const sealedName = (model: string, version: number): string => `model/${model}/${version}`;

const modelName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/**
 * Names and versions there are, by the policies; nothing is read of the models yet.
 * @param options.every all versions, whatever the policies say.
 */
export async function scanRepository(
  options: Pick<RepositoryOptions, "root" | "policies"> & { readonly every?: boolean },
): Promise<readonly (readonly [string, number])[]> {
  const { root, policies = {}, every = false } = options;
  const names = (await list(root)).filter((name) => modelName.test(name)).sort();
  if (names.length > servingLimits.models) {
    throw new ServingError("bad-model", `The repository has over ${servingLimits.models} models.`);
  }
  const found: (readonly [string, number])[] = [];
  for (const name of names) {
    const versions = (await list(join(root, name)))
      .filter((entry) => /^[1-9]\d{0,14}$/.test(entry))
      .map(Number)
      .sort((a, b) => b - a)
      .slice(0, servingLimits.versions);
    const given = Object.hasOwn(policies, name) ? policies[name] : undefined;
    const policy = every
      ? ({ kind: "latest", count: versions.length } as const)
      : (given ?? ({ kind: "latest", count: 1 } as const));
    const wanted =
      policy.kind === "latest"
        ? versions.slice(0, policy.count)
        : versions.filter((version) => policy.versions.includes(version));
    found.push(...wanted.map((version) => [name, version] as const));
  }
  return found;
}

async function list(directory: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (cause) {
    throw new ServingError("bad-model", `The model directory ${directory} cannot be read.`, {
      cause,
    });
  }
}

/** @throws ServingError `bad-model`; SealError or TensorsError for what is wrong inside. */
export async function loadModel(
  options: RepositoryOptions,
  name: string,
  version: number,
): Promise<LoadedModel> {
  const { root, digests, wrapper } = options;
  const path = join(root, name, String(version), "model.safetensors");
  const sealed = await exists(`${path}.sealed`);
  // Both would be two models under one name; which one was meant nobody can know.
  if (sealed && (await exists(path))) {
    throw new ServingError(
      "bad-model",
      `${name} version ${version} is there both sealed and plain.`,
    );
  }
  const bytes = sealed
    ? await openSealed(`${path}.sealed`, name, version, wrapper)
    : await readPlain(path);
  const digest = createHash("sha256").update(bytes).digest("hex");
  if (digests !== undefined && digests[`${name}/${version}`] !== digest) {
    throw new ServingError(
      "bad-model",
      `${name} version ${version} has the digest ${digest}, which is not the one that was agreed.`,
    );
  }
  return { name, version, digest, sealed, model: linearModel(decodeSafetensors(bytes)) };
}

async function exists(path: string): Promise<boolean> {
  try {
    await (await open(path, "r")).close();
    return true;
  } catch {
    return false;
  }
}

async function readPlain(path: string): Promise<Uint8Array> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw new ServingError("bad-model", `The model file ${path} cannot be read.`, { cause });
  });
  try {
    if ((await file.stat()).size > servingLimits.modelBytes) {
      throw new ServingError(
        "bad-model",
        `The model file ${path} is over ${servingLimits.modelBytes} bytes.`,
      );
    }
    return new Uint8Array(await readFile(file));
  } finally {
    await file.close();
  }
}

async function openSealed(
  path: string,
  name: string,
  version: number,
  wrapper: KeyWrapper | undefined,
): Promise<Uint8Array> {
  if (wrapper === undefined) {
    throw new ServingError(
      "bad-model",
      `${name} version ${version} is sealed, and there is no key for it.`,
    );
  }
  await using file = await openSealedFileAt(path, {
    name: sealedName(name, version),
    type: sealedType,
    minimumVersion: version,
    wrapper,
  });
  if (file.length > servingLimits.modelBytes) {
    throw new ServingError(
      "bad-model",
      `The model file ${path} is over ${servingLimits.modelBytes} bytes.`,
    );
  }
  const bytes = new Uint8Array(file.length);
  let filled = 0;
  for await (const part of file.chunks()) {
    bytes.set(part, filled);
    filled += part.length;
  }
  return bytes;
}
