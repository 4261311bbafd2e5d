/** `evidence collect`, `verify` and `show`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerEvidence(program: Command, shell: Shell): void {
  const evidence = program
    .command("evidence")
    .description("signed statements about the installed worker (simulated in this version)");
  const load = () => import("../evidence/actions.ts");

  complete<{ reportData: string; policy?: string; output: string }>(
    evidence
      .command("collect")
      .description(
        "measure the installed psi worker and sign with the development root (simulated)",
      )
      .requiredOption("--report-data <hex>", "64 bytes that the evidence shall carry")
      .option("--policy <file>", "policy whose digest is measured (default: none, all zero)")
      .requiredOption("--output <file>", "file to write"),
    shell,
    "vivarium evidence collect --report-data $(openssl rand -hex 64) --output alice.evidence",
    async () => (await load()).collect,
  );
  complete<{ policy: string; role: string; reportData: string }>(
    evidence
      .command("verify")
      .description("hold evidence against a policy; exit code 3 if it is refused")
      .argument("<file>", "evidence")
      .requiredOption("--policy <file>", "policy")
      .requiredOption("--role <role>", "role of whoever made the evidence")
      .requiredOption("--report-data <hex>", "64 bytes that the evidence must carry"),
    shell,
    "vivarium evidence verify bob.evidence --policy policy.yaml --role sender --report-data HEX",
    async () => (await load()).verify,
  );
  complete(
    evidence
      .command("show")
      .description("print what evidence says, without judging it")
      .argument("<file>", "evidence"),
    shell,
    "vivarium evidence show bob.evidence",
    async () => (await load()).show,
  );
}
