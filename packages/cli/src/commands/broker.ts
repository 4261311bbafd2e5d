/** `broker init`, `serve`, `put`, `rotate`, `policy`, `revoke`, `list`, `get`. */
import { collectorNames } from "@vivarium/attestation/collect";
import type { Command } from "commander";
import type {
  GetOptions,
  InitOptions,
  PolicyOptions,
  PutOptions,
  RotateOptions,
  ServeOptions,
} from "../broker/options.ts";
import { complete, type Shell } from "../command.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];
const resource = ["<resource>", "repository/type/tag"] as const;

export function registerBroker(program: Command, shell: Shell): void {
  const broker = program
    .command("broker")
    .description("the key broker: secrets for instances whose evidence a policy accepts");

  complete<InitOptions>(
    broker
      .command("init")
      .description("make a broker in the state directory: its log, its keys, its certificate")
      .requiredOption("--name <name>", "its name for ever, such as example.org/broker"),
    shell,
    "vivarium broker init --name example.org/broker",
    async () => (await import("../broker/init.ts")).init,
  );
  complete<ServeOptions>(
    broker
      .command("serve")
      .description("serve the key broker protocol of Confidential Containers until interrupted")
      .requiredOption("--key <file>", "root key that seals the store (vivarium file keygen)")
      .requiredOption("--listen <host:port>", "where clients connect, by TLS")
      .option("--collateral <file>", "collateral of evidence; may be repeated", several)
      .option("--metrics <host:port>", "health and metrics, on a listener of their own")
      .option(
        "--checkpoint <file>",
        "newest checkpoint that is known outside; an older log is not served",
      )
      .option("--witness <url>", "witness that must know no newer log, and cosigns this one")
      .option("--witness-key <vkey>", "key of the witness"),
    shell,
    "vivarium broker serve --key root.key --listen 0.0.0.0:8443",
    async () => (await import("../broker/serve.ts")).serve,
  );
  complete<PutOptions>(
    broker
      .command("put")
      .description("give a running broker a secret, with its release policy")
      .argument(...resource)
      .requiredOption("--secret <file>", "the secret, 1 byte to 256 KiB")
      .requiredOption("--policy <file>", "release policy")
      .requiredOption("--owner <owner>", "whose it is, for the audit log")
      .option("--expires <time>", "when it ends (default: never)"),
    shell,
    "vivarium broker put models/key/spam --secret models.key --policy release.yaml --owner alice",
    async () => (await import("../broker/admin.ts")).put,
  );
  complete<RotateOptions>(
    broker
      .command("rotate")
      .description("put a new secret in the place of an old one")
      .argument(...resource)
      .requiredOption("--secret <file>", "the new secret"),
    shell,
    "vivarium broker rotate models/key/spam --secret new.key",
    async () => (await import("../broker/admin.ts")).rotate,
  );
  complete<PolicyOptions>(
    broker
      .command("policy")
      .description("give a resource another release policy")
      .argument(...resource)
      .requiredOption("--policy <file>", "release policy"),
    shell,
    "vivarium broker policy models/key/spam --policy release.yaml",
    async () => (await import("../broker/admin.ts")).policy,
  );
  complete<{ yes?: true }>(
    broker
      .command("revoke")
      .description("forget a secret for good")
      .argument(...resource)
      .option("--yes", "do not ask"),
    shell,
    "vivarium broker revoke models/key/spam --yes",
    async () => (await import("../broker/admin.ts")).revoke,
  );
  complete(
    broker.command("list").description("list resources and their policies; no secret is shown"),
    shell,
    "vivarium broker list",
    async () => (await import("../broker/admin.ts")).list,
  );
  complete<GetOptions>(
    broker
      .command("get")
      .description("attest to a broker and write the secret that it releases (mode 0600)")
      .argument(...resource)
      .requiredOption("--url <url>", "https://host:port of the broker")
      .requiredOption("--pin <pin>", "sha256:… of the broker's key, as broker init printed it")
      .option("--from <source>", `simulated (default), auto, or ${collectorNames.join(", ")}`)
      .option("--tpm <address>", "TPM to ask: a device, tcp:host:port or unix:path")
      .requiredOption("--output <file>", "file to write"),
    shell,
    "vivarium broker get models/key/spam --url https://broker:8443 --pin sha256:… --from auto --output models.key",
    async () => (await import("../broker/get.ts")).get,
  );
}
