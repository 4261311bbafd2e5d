/** Sealing a model for a repository. */
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type KeyWrapper, sealFileAt } from "@vivarium/seal";
import { decodeSafetensors, linearModel } from "@vivarium/tensors";
import { ServingError } from "./errors.ts";
import { sealedName, sealedType } from "./repository.ts";

/**
 * Puts a model into a repository, sealed for its name and version.
 * @returns SHA-256 of the plain file, lower-case hex.
 * @throws ServingError `bad-model`; TensorsError for a file that is no model.
 */
export async function sealModel(
  file: string,
  options: {
    readonly repository: string;
    readonly name: string;
    readonly version: number;
    readonly wrapper: KeyWrapper;
  },
): Promise<string> {
  const { repository, name, version, wrapper } = options;
  if (
    !/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name) ||
    !Number.isSafeInteger(version) ||
    version < 1
  ) {
    throw new ServingError(
      "invalid-argument",
      "A model has a name of letters and digits, and a version from 1 on.",
    );
  }
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new ServingError("bad-model", `The model file ${file} cannot be read.`, { cause });
  });
  // Better to hear now that it is none than at the server, which may be far away.
  await linearModel(decodeSafetensors(bytes))[Symbol.asyncDispose]();
  const directory = join(repository, name, String(version));
  await mkdir(directory, { recursive: true });
  await sealFileAt(join(directory, "model.safetensors.sealed"), bytes, {
    name: sealedName(name, version),
    type: sealedType,
    version,
    wrapper,
  });
  return createHash("sha256").update(bytes).digest("hex");
}
