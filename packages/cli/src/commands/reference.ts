/** `reference record`, `import`, `launch`, `log` and `policy`. */
import { type Command, Option } from "commander";
import { complete, type Shell } from "../command.ts";
import type { ImportOptions } from "../reference/import.ts";
import type { LaunchOptions } from "../reference/launch.ts";
import type { LogOptions } from "../reference/log.ts";
import type { PolicyOptions } from "../reference/policy.ts";
import type { RecordOptions } from "../reference/record.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerReference(program: Command, shell: Shell): void {
  const reference = program
    .command("reference")
    .description("known-good measurements: record, import, compute, and make policies of them");

  complete<RecordOptions>(
    reference
      .command("record")
      .description(
        "verify the evidence of a known-good run and keep what it measured; exit code 3 if it is refused",
      )
      .argument("<evidence>", "evidence of any TEE, as `evidence verify` takes it")
      .requiredOption("--name <text>", "what was running, for people")
      .option("--type <type>", "type of the evidence (default: detected)")
      .option(
        "--collateral <file>",
        "certificates, CRLs, TCB info, trust anchors; may be repeated",
        several,
      )
      .option("--root <file>", "PEM of roots to trust instead of the vendor's, for test sets")
      .option("--at <time>", "verify as of this time (default: now)")
      .option("--report-data <hex>", "bytes that the evidence must carry, zeros after them")
      .option("--allow <relaxation>", "relaxation of the strict default; may be repeated", several)
      .option(
        "--pin <measurement>",
        "measurement to keep, instead of the usual ones; may be repeated",
        several,
      )
      .requiredOption("--output <file>", "reference set to write"),
    shell,
    'vivarium reference record quote.bin --collateral quote.collateral --name "web 1.2" --output web.reference.json',
    async () => (await import("../reference/record.ts")).record,
  );
  complete<ImportOptions>(
    reference
      .command("import")
      .description(
        "read reference values of others: signed manifests, CoRIM, RVPS, SWID, JSON; exit code 3 if the named signer has not signed",
      )
      .argument(
        "<file>",
        "Sigstore bundle of a manifest, CoRIM, RVPS message, SWID tag, JSON of names to values, CCA store",
      )
      .option("--type <type>", "type of evidence, where the file does not say it")
      .option("--key <file>", "PEM of the public key that must have signed it")
      .option("--trust-root <file>", "of a manifest: Sigstore's trusted_root.json")
      .option("--signer <subject>", "of a manifest: workflow or address that must have signed it")
      .option("--issuer <url>", "of a manifest: who vouches for the signer")
      .option("--join", "make one state of all parts (such as Arm's platform and realm)")
      .option("--name <text>", "for people, where the file has no name (default: the file's)")
      .requiredOption("--output <file>", "reference set to write"),
    shell,
    [
      "vivarium reference import web.sigstore.json --trust-root trusted_root.json --signer https://github.com/acme/web/.github/workflows/release.yml@refs/tags/v1.2 --issuer https://token.actions.githubusercontent.com --output web.reference.json",
      "vivarium reference import platform.corim --key vendor.pem --output platform.reference.json",
      "vivarium reference import rvps.json --type tdx --output web.reference.json",
    ].join("\n"),
    async () => (await import("../reference/import.ts")).importFile,
  );
  complete<LaunchOptions>(
    reference
      .command("launch")
      .description("compute what an AMD guest measures from what it is launched with")
      .addOption(
        new Option("--type <type>", "kind of guest (default: snp)").choices([
          "snp",
          "sev-es",
          "sev",
        ]),
      )
      .requiredOption("--firmware <file>", "OVMF image")
      .option("--firmware-digest <hex>", "digest of the whole image, where FILE is its end only")
      .option("--kernel <file>", "kernel that is booted directly (default: none, from the disk)")
      .option("--initrd <file>", "with --kernel")
      .option("--command-line <text>", "of the kernel, with --kernel")
      .option("--processors <number>", "virtual processors (default: 1)")
      .option("--cpu <model>", "QEMU's processor model, such as EPYC-Milan, or its signature, 0x…")
      .addOption(
        new Option("--hypervisor <name>", "who launches it (default: qemu)").choices([
          "qemu",
          "ec2",
          "gce",
        ]),
      )
      .option("--features <number>", "SEV_FEATURES of an SNP guest (default: 0x1)")
      .option("--name <text>", "what is launched, for people; with --output")
      .option("--output <file>", "reference set to write"),
    shell,
    [
      "vivarium reference launch --firmware OVMF.fd --cpu EPYC-Milan --processors 4",
      'vivarium reference launch --firmware OVMF.fd --kernel vmlinuz --initrd initrd.img --command-line "console=ttyS0" --cpu EPYC-Genoa --name "web 1.2" --output web.reference.json',
    ].join("\n"),
    async () => (await import("../reference/launch.ts")).launch,
  );
  complete<LogOptions>(
    reference
      .command("log")
      .description("replay an event log to the registers that evidence must hold")
      .argument("<file>", "CCEL area or dstack's JSON of a TD; binary_bios_measurements of a TPM")
      .addOption(
        new Option("--type <type>", "whose log it is")
          .choices(["tdx", "tpm"])
          .makeOptionMandatory(),
      )
      .addOption(
        new Option("--bank <hash>", "of a TPM (default: the strongest of the log)").choices([
          "SHA-256",
          "SHA-384",
          "SHA-512",
        ]),
      )
      .option("--pin <register>", "register to keep (default: all); may be repeated", several)
      .option("--name <text>", "what booted, for people; with --output")
      .option("--output <file>", "reference set to write"),
    shell,
    [
      "vivarium reference log /sys/firmware/acpi/tables/data/CCEL --type tdx",
      'vivarium reference log bios.log --type tpm --pin pcr04 --pin pcr07 --name "web 1.2" --output web.reference.json',
    ].join("\n"),
    async () => (await import("../reference/log.ts")).log,
  );
  complete<PolicyOptions>(
    reference
      .command("policy")
      .description("write a policy that accepts one party in any of the referenced states")
      .argument("<files...>", "reference sets")
      .requiredOption("--identity <fingerprint>", "sha256:… of the party; may be repeated", several)
      .requiredOption("--role <role>", "role that the party may act in; may be repeated", several)
      .option("--root <fingerprint>", "trust anchor, for references that need one and name none")
      .option("--max-age <seconds>", "life of a result (default: 3600)")
      .requiredOption("--output <file>", "policy to write"),
    shell,
    "vivarium reference policy web.reference.json --identity sha256:… --role sender --output web.policy.json",
    async () => (await import("../reference/policy.ts")).policy,
  );
}
