/** `receipt verify`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerReceipt(program: Command, shell: Shell): void {
  const receipt = program.command("receipt").description("signed receipts of runs");
  complete<{ identity?: string[] }>(
    receipt
      .command("verify")
      .description(
        "verify receipts offline; several must follow each other; exit code 3 if one is not genuine",
      )
      .argument("<file...>", "receipt, or those of a federated run in their order")
      .option(
        "--identity <fingerprint>",
        "a party whose receipts count; may be given several times (default: any, and it is shown)",
        (value: string, before: string[] = []) => [...before, value],
      ),
    shell,
    [
      "vivarium receipt verify alice.receipt --identity sha256:…",
      "vivarium receipt verify receipts/*.receipt",
    ].join("\n"),
    async () => (await import("../receipt/verify.ts")).verify,
  );
}
