/** `federated run`, `simulate` and `demo`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { SimulateOptions } from "../federated/simulate.ts";

export function registerFederated(program: Command, shell: Shell): void {
  const federated = program
    .command("federated")
    .description("train one model on the data of several parties, which never leaves them");

  complete<{ config: string; bundle?: string }>(
    federated
      .command("run")
      .description("run one party; one that was stopped goes on where it was")
      .requiredOption("--config <file>", "configuration of this party")
      .option("--bundle <dir>", "measured worker to run (default: the installed one)"),
    shell,
    "vivarium federated run --config hub.yaml",
    async () => {
      const [{ loadFederatedConfig }, { runFederated }] = await Promise.all([
        import("../config/federated.ts"),
        import("../federated/run.ts"),
      ]);
      return async (context, options) => {
        const config = await loadFederatedConfig(context.path(options.config));
        const state = await context.state({ create: false });
        const { json, verbose, io } = context;
        const bundle = options.bundle === undefined ? {} : { bundle: context.path(options.bundle) };
        return (await runFederated({ config, state, json, verbose, ...bundle }, io)) === 0 ? 0 : 1;
      };
    },
  );

  complete<SimulateOptions>(
    federated
      .command("simulate")
      .description(
        "try strategies on data of one place, split over virtual participants; nothing is attested",
      )
      .requiredOption("--plan <file>", "plan of the run")
      .requiredOption("--data <file>", "JSON lines of all data")
      .option("--participants <number>", "virtual participants", "10")
      .option("--split <how>", "iid, shards:N (sorted labels) or dirichlet:ALPHA", "iid")
      .option("--test-share <share>", "share of the rows that is only tested on", "0.2")
      .option("--strategies <names>", "strategies to compare, by commas (default: the plan's)"),
    shell,
    "vivarium federated simulate --plan plan.yaml --data all.jsonl --split dirichlet:0.3 --strategies fedavg,fedprox,scaffold,fedadam",
    async () => (await import("../federated/simulate.ts")).simulateAction,
  );

  complete(
    federated
      .command("demo")
      .description("five data owners on this machine train a filter on 6,046 real e-mails"),
    shell,
    "vivarium federated demo",
    async () => {
      const { runFederatedDemo } = await import("../federated/demo.ts");
      return async ({ json, io }) => ((await runFederatedDemo({ json }, io)) ? 0 : 1);
    },
  );
}
