/** `identity create`, `identity show`, `identity export`. */
import { type Command, Option } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerIdentity(program: Command, shell: Shell): void {
  const identity = program
    .command("identity")
    .description("long-term identities of this party, and what others need to know of it");

  complete<{ algorithm: "ES256" | "EdDSA" }>(
    identity
      .command("create")
      .description("make a long-term identity and, if there is none, a development root")
      .argument("<name>", "lower-case letters, digits and hyphens")
      .addOption(
        new Option("--algorithm <name>", "kind of key")
          .choices(["ES256", "EdDSA"])
          .default("ES256"),
      ),
    shell,
    "vivarium identity create alice",
    async () => (await import("../identity/actions.ts")).create,
  );
  complete(
    identity
      .command("show")
      .description("show fingerprints and measurements, to be compared by voice")
      .argument("[name]", "needed if there are several"),
    shell,
    "vivarium identity show alice",
    async () => (await import("../identity/actions.ts")).show,
  );
  complete<{ output?: string }>(
    identity
      .command("export")
      .description("write the party file that the other side makes its policy from")
      .argument("[name]", "needed if there are several")
      .option("--output <file>", "file to write (default: NAME.party.json)"),
    shell,
    "vivarium identity export alice --output alice.party.json",
    async () => (await import("../identity/actions.ts")).exportParty,
  );
}
