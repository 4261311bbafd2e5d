/** `receipt verify`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerReceipt(program: Command, shell: Shell): void {
  const receipt = program.command("receipt").description("signed receipts of runs");
  complete<{ identity?: string[] }>(
    receipt
      .command("verify")
      .description("verify a receipt offline; exit code 3 if it is not genuine")
      .argument("<file>", "receipt")
      .option(
        "--identity <fingerprint>",
        "a party whose receipts count; may be given several times (default: any, and it is shown)",
        (value: string, before: string[] = []) => [...before, value],
      ),
    shell,
    "vivarium receipt verify alice.receipt --identity sha256:…",
    async () => (await import("../receipt/verify.ts")).verify,
  );
}
