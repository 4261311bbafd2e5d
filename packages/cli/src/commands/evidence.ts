/** `evidence collect`, `verify` and `show`. */
import { collectorNames } from "@vivarium/attestation/collect";
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { CollectOptions } from "../evidence/collect.ts";
import type { VerifyOptions } from "../evidence/verify.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerEvidence(program: Command, shell: Shell): void {
  const evidence = program
    .command("evidence")
    .description("signed statements about workers and platforms: collect, verify, show");

  complete<CollectOptions>(
    evidence
      .command("collect")
      .description(
        "have this machine's TEE or TPM sign, or the development root (simulated, with the installed psi worker)",
      )
      .option("--from <source>", `simulated (default), auto, or ${collectorNames.join(", ")}`)
      .option("--tpm <address>", "TPM to ask: a device, tcp:host:port or unix:path")
      .option(
        "--ak <file>",
        "file to write the TPM's attestation key to, which peers name as collateral",
      )
      .option(
        "--event-log <file>",
        "the firmware's event log, to go with a TPM's quote (/sys/kernel/security/tpm0/binary_bios_measurements)",
      )
      .requiredOption("--report-data <hex>", "64 bytes that the evidence shall carry")
      .option("--policy <file>", "policy whose digest is measured (default: none, all zero)")
      .requiredOption("--output <file>", "file to write"),
    shell,
    [
      "vivarium evidence collect --report-data $(openssl rand -hex 64) --output alice.evidence",
      "vivarium evidence collect --from auto --report-data $(openssl rand -hex 64) --output vm.evidence",
      "vivarium evidence collect --from tpm --event-log /sys/kernel/security/tpm0/binary_bios_measurements --report-data $(openssl rand -hex 64) --output vm.evidence",
    ].join("\n"),
    async () => (await import("../evidence/collect.ts")).collect,
  );
  complete<VerifyOptions>(
    evidence
      .command("verify")
      .description(
        "verify evidence of any TEE offline, by a policy or the strict default; exit code 3 if it is refused",
      )
      .argument(
        "<file>",
        "evidence: raw, hex, base64, JSON of CoCo and others, RA-TLS certificate; or a token of an attestation service",
      )
      .option("--type <type>", "type of the evidence (default: detected)")
      .option(
        "--collateral <file>",
        "certificates, CRLs, TCB info, trust anchors; may be repeated",
        several,
      )
      .option("--policy <file>", "policy (default: genuine, UpToDate, no debugger)")
      .option("--role <role>", "role of whoever made the evidence, with --policy")
      .option("--at <time>", "verify as of this time (default: now)")
      .option("--report-data <hex>", "bytes that the evidence must carry, zeros after them")
      .option("--root <file>", "PEM of roots to trust instead of the vendor's, for test sets")
      .option("--strict", "refuse also what a policy could allow by name")
      .option("--issuer <iss>", "of a token: the service's tenant that it must be of")
      .option("--nonce <text>", "of a token: the nonce that it must have")
      .option("--audience <text>", "of a token: the audience that it must have"),
    shell,
    [
      "vivarium evidence verify quote.bin --collateral collateral.json --at 2026-03-20T00:00:00Z",
      "vivarium evidence verify report.bin --collateral vcek.pem --json",
      "vivarium evidence verify ear.jwt --root as-ca.pem",
      "vivarium evidence verify bob.evidence --policy policy.yaml --role sender --report-data HEX",
    ].join("\n"),
    async () => (await import("../evidence/verify.ts")).verify,
  );
  complete<{ type?: string }>(
    evidence
      .command("show")
      .description("print what evidence says, without judging it")
      .argument("<file>", "evidence")
      .option("--type <type>", "type of the evidence (default: detected)"),
    shell,
    "vivarium evidence show bob.evidence",
    async () => (await import("../evidence/show.ts")).show,
  );
}
