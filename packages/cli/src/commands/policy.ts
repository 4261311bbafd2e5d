/** `policy init`, `policy check`, `policy explain`. */
import { type Command, Option } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerPolicy(program: Command, shell: Shell): void {
  const policy = program.command("policy").description("what a peer must prove");

  complete<{ peer: string; role?: string; output?: string }>(
    policy
      .command("init")
      .description("write a policy that accepts one party, from its party file")
      .requiredOption("--peer <file>", "party file of the peer")
      .addOption(
        new Option("--role <role>", "what the peer may be (default: either)").choices([
          "receiver",
          "sender",
        ]),
      )
      .option("--output <file>", "policy to write (default: print it)"),
    shell,
    "vivarium policy init --peer bob.party.json --output alice.policy.yaml",
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
