/** `psi run` and `psi demo`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerPsi(program: Command, shell: Shell): void {
  const psi = program
    .command("psi")
    .description("find the items that two tables have in common, and nothing else");

  complete<{ config: string; bundle?: string }>(
    psi
      .command("run")
      .description("run one side of an intersection; either side may start first")
      .requiredOption("--config <file>", "configuration of this side")
      .option("--bundle <dir>", "measured worker to run (default: the installed one)"),
    shell,
    "vivarium psi run --config alice.yaml",
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
        const bundle = options.bundle === undefined ? {} : { bundle: context.path(options.bundle) };
        return exitCode(await runPsi({ config, configPath, state, json, verbose, ...bundle }, io));
      };
    },
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
