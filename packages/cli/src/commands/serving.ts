/** `serving run`, `predict`, `demo`, and `model seal`, `list`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { SealOptions } from "../serving/model.ts";
import type { PredictOptions } from "../serving/predict.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerServing(program: Command, shell: Shell): void {
  const serving = program
    .command("serving")
    .description("answer with models that nobody may copy, on inputs that nobody may read");

  complete<{ config: string }>(
    serving
      .command("run")
      .description("serve a repository of models until interrupted")
      .requiredOption("--config <file>", "configuration of the server"),
    shell,
    "vivarium serving run --config server.yaml",
    async () => (await import("../serving/run.ts")).runServing,
  );
  complete<PredictOptions>(
    serving
      .command("predict")
      .description("verify a server, then ask it; nothing is sent to one that fails the policy")
      .argument("<model>", "name of the model")
      .requiredOption("--server <address>", "host:port of the server's attested channels")
      .requiredOption("--policy <file>", "what the server must prove")
      .option(
        "--collateral <file>",
        "what its hardware evidence is verified with; may be repeated",
        several,
      )
      .option("--text <text>", "a text to ask about; may be repeated", several)
      .option("--npy <file>", "rows of numbers, float32, as NumPy saves them")
      .option("--model-version <number>", "version of the model (default: the newest)")
      .option("--digest <hex>", "take no answer of another model than this")
      .option("--receipt <file>", "signed receipt of the answer to write"),
    shell,
    'vivarium serving predict spam --server 10.0.0.5:7443 --policy server.policy.yaml --text "Free money"',
    async () => (await import("../serving/predict.ts")).predictAction,
  );
  complete(
    serving
      .command("demo")
      .description("train a spam filter between five companies, seal it, serve it, ask it"),
    shell,
    "vivarium serving demo",
    async () => {
      const { runServingDemo } = await import("../serving/demo.ts");
      return async ({ json, io }) => ((await runServingDemo({ json }, io)) ? 0 : 1);
    },
  );

  const model = program.command("model").description("models in a repository for serving");
  complete<SealOptions>(
    model
      .command("seal")
      .description("put a model into a repository, sealed for its name and version")
      .argument("<file>", "model, safetensors of a federated run")
      .requiredOption("--repository <dir>", "directory of models")
      .requiredOption("--name <name>", "name of the model")
      .requiredOption("--model-version <number>", "version of the model, from 1 on")
      .requiredOption("--key <file>", "32 bytes that seal it")
      .option("--create-key", "make the key first; it must not exist"),
    shell,
    "vivarium model seal model.safetensors --repository models --name spam --model-version 1 --key model.key --create-key",
    async () => (await import("../serving/model.ts")).seal,
  );
  complete<{ repository: string }>(
    model
      .command("list")
      .description("list models and versions of a repository")
      .requiredOption("--repository <dir>", "directory of models"),
    shell,
    "vivarium model list --repository models",
    async () => (await import("../serving/model.ts")).list,
  );
}
