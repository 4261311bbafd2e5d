/** `psi run`, `psi resume`, `psi plan` and `psi demo`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { PlanOptions } from "../psi/plan.ts";

export function registerPsi(program: Command, shell: Shell): void {
  const psi = program
    .command("psi")
    .description("find the items that two tables have in common, and nothing else");

  for (const { name, about, resume } of [
    {
      name: "run",
      about: "run one side of an intersection; either side may start first",
      resume: false,
    },
    {
      name: "resume",
      about: "go on from the checkpoint of a run that was interrupted; never begins one",
      resume: true,
    },
  ]) {
    complete<{ config: string; bundle?: string }>(
      psi
        .command(name)
        .description(about)
        .requiredOption("--config <file>", "configuration of this side")
        .option("--bundle <dir>", "measured worker to run (default: the installed one)"),
      shell,
      `vivarium psi ${name} --config alice.yaml`,
      async () => {
        const [{ loadPsiConfig }, { runPsi }] = await Promise.all([
          import("../config/psi.ts"),
          import("../psi/run.ts"),
        ]);
        return async (context, options) => {
          const configPath = context.path(options.config);
          const config = await loadPsiConfig(configPath);
          const state = await context.state({ create: false });
          const { json, verbose, io } = context;
          const bundle =
            options.bundle === undefined ? {} : { bundle: context.path(options.bundle) };
          const run = { config, configPath, state, json, verbose, resume, ...bundle };
          return exitCode(await runPsi(run, io));
        };
      },
    );
  }

  complete<PlanOptions>(
    psi
      .command("plan")
      .description(
        "predict time, bytes and memory of a run from two sizes, by measuring this machine",
      )
      .requiredOption("--receiver <n>", "distinct items of the receiver")
      .requiredOption("--sender <n>", "distinct items of the sender")
      .option("--protocol <name>", "ecdh or attested", "ecdh")
      .option("--mode <name>", "intersection, cardinality, labels or sum", "intersection")
      .option("--label-bytes <n>", "most bytes of a label, in mode labels", "64")
      .option("--cores <n>", "cores of each side (default: this machine's)"),
    shell,
    "vivarium psi plan --receiver 1000000 --sender 20000000",
    async () => (await import("../psi/plan.ts")).plan,
  );

  complete(
    psi
      .command("demo")
      .description("two parties on this machine, two real lists, and an impostor turned away"),
    shell,
    "vivarium psi demo",
    async () => {
      const { runPsiDemo } = await import("../psi/demo.ts");
      return async ({ json, verbose, io }) =>
        exitCode(await runPsiDemo({ json, verbose, run: shell.run }, io));
    },
  );
}

/** Exit codes are a closed set; anything else that a run hands back is failure. */
function exitCode(value: number): 0 | 1 | 2 | 3 {
  return value === 0 || value === 2 || value === 3 ? value : 1;
}
