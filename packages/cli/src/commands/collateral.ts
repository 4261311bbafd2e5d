/** `collateral fetch`, `show` and `bundle`. */
import type { Command } from "commander";
import type { FetchOptions } from "../collateral/fetch.ts";
import { complete, type Shell } from "../command.ts";

export function registerCollateral(program: Command, shell: Shell): void {
  const collateral = program
    .command("collateral")
    .description("certificates, CRLs and TCB info that evidence is verified with");

  complete<FetchOptions>(
    collateral
      .command("fetch")
      .description(
        "fetch what a piece of evidence needs, once, into a bundle for machines without a network",
      )
      .argument("<evidence>", "evidence: SGX, TDX, SEV-SNP, CSV, Azure vTPM")
      .requiredOption("--output <file>", "bundle to write")
      .option(
        "--pcs <url>",
        "Intel's service, a cloud's or a PCCS (default: https://api.trustedservices.intel.com)",
      )
      .option("--kds <url>", "AMD's service or a mirror (default: https://kdsintf.amd.com)")
      .option("--hygon <url>", "Hygon's service (default: https://cert.hygon.cn)")
      .option("--offline", "take what was fetched before, and nothing else"),
    shell,
    [
      "vivarium collateral fetch quote.bin --output quote.collateral",
      "vivarium collateral fetch quote.bin --pcs https://sgx-dcap-server.cn-beijing.aliyuncs.com --output quote.collateral",
    ].join("\n"),
    async () => (await import("../collateral/fetch.ts")).fetch,
  );
  complete<object>(
    collateral
      .command("show")
      .description("print what files hold and when it ends; exit code 1 if anything has ended")
      .argument("<files...>", "bundles or other files of collateral"),
    shell,
    "vivarium collateral show quote.collateral",
    async () => (await import("../collateral/show.ts")).show,
  );
  complete<{ output: string }>(
    collateral
      .command("bundle")
      .description("put files of collateral together into one bundle")
      .argument(
        "<files...>",
        "PEM, DER, QuoteCollateralV3 JSON, Hygon's and AMD's binary certificates, …",
      )
      .requiredOption("--output <file>", "bundle to write"),
    shell,
    "vivarium collateral bundle vcek.der chain.pem milan.crl --output snp.collateral",
    async () => (await import("../collateral/show.ts")).bundle,
  );
}
