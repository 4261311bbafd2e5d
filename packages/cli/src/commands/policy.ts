/** `policy init`, `policy check`, `policy explain`. */
import { type Command, Option } from "commander";
import { complete, type Shell } from "../command.ts";
import type { InitOptions } from "../policy/actions.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerPolicy(program: Command, shell: Shell): void {
  const policy = program.command("policy").description("what a peer must prove");

  complete<InitOptions>(
    policy
      .command("init")
      .description("write a policy that accepts one party or several, from their party files")
      .requiredOption("--peer <file>", "party file of a peer; may be repeated", several)
      .addOption(
        new Option("--workload <workload>", "what the peers take part in")
          .choices(["psi", "federated", "serving"])
          .default("psi"),
      )
      .option(
        "--role <role>",
        "what the peers may be: receiver or sender, aggregator or participant, server or client (default: either)",
      )
      .option("--output <file>", "policy to write (default: print it)"),
    shell,
    [
      "vivarium policy init --peer bob.party.json --output alice.policy.yaml",
      "vivarium policy init --workload federated --role participant --peer north.party.json --peer south.party.json --output hub.policy.yaml",
    ].join("\n"),
    async () => (await import("../policy/actions.ts")).init,
  );
  complete(
    policy
      .command("check")
      .description("check a policy: every field is required, unknown ones are refused")
      .argument("<file>"),
    shell,
    "vivarium policy check alice.policy.yaml",
    async () => (await import("../policy/actions.ts")).check,
  );
  complete<{ evidence?: string }>(
    policy
      .command("explain")
      .description("list every rule of a policy, or hold evidence against each")
      .argument("<file>")
      .option("--evidence <file>", "evidence to hold against it"),
    shell,
    "vivarium policy explain alice.policy.yaml",
    async () => (await import("../policy/actions.ts")).explain,
  );
}
