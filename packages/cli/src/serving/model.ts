/** `model seal` and `model list`. */
import { randomBytes } from "node:crypto";
import { secretKeyWrapper } from "@vivarium/seal";
import { scanRepository, sealModel } from "@vivarium/serving";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { writeNew } from "../files.ts";
import { keyOf } from "./run.ts";

export interface SealOptions {
  readonly repository: string;
  readonly name: string;
  readonly modelVersion: string;
  readonly key: string;
  readonly createKey?: true;
}

export const seal: Action<SealOptions> = async (context, options, file = "") => {
  const version = Number(options.modelVersion);
  if (!Number.isSafeInteger(version) || version < 1) {
    throw new CliError("usage", "--model-version must be a whole number from 1 on.");
  }
  const keyFile = context.path(options.key);
  if (options.createKey === true) {
    const fresh = randomBytes(32);
    await writeNew(keyFile, "model key", fresh, 0o600);
    fresh.fill(0);
  }
  using key = await keyOf(keyFile);
  const { name } = options;
  const repository = context.path(options.repository);
  const wrapper = secretKeyWrapper("models", key as NonNullable<typeof key>);
  const digest = await sealModel(context.path(file), { repository, name, version, wrapper });
  context.print({ name, version, digest, repository }, [
    `Sealed ${name} version ${version} in ${repository}.`,
    `Digest ${digest}: what clients and the server's configuration name.`,
  ]);
  return 0;
};

export const list: Action<{ readonly repository: string }> = async (context, options) => {
  const repository = context.path(options.repository);
  const models = await scanRepository({ root: repository, every: true });
  context.print(
    models.map(([name, version]) => ({ name, version })),
    models.length === 0
      ? ["There is no model."]
      : models.map(([name, version]) => `${name} version ${version}`),
  );
  return 0;
};
