/** `file keygen`, `seal`, `open`, `rewrap`, `inspect`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { InspectOptions, OpenOptions, RewrapOptions, SealOptions } from "../file/options.ts";

const keyOption = ["--key <file>", "key file, made by vivarium file keygen"] as const;

export function registerFile(program: Command, shell: Shell): void {
  const file = program
    .command("file")
    .description("sealed files: models, data sets and checkpoints that only a key opens");

  complete(
    file
      .command("keygen")
      .description("make a key that wraps the keys of files (mode 0600)")
      .argument("<output>", "key file to make"),
    shell,
    "vivarium file keygen models.key",
    async () => (await import("../file/keygen.ts")).keygen,
  );
  complete<SealOptions>(
    file
      .command("seal")
      .description("encrypt a file; it opens only whole, unaltered and under its name")
      .argument("<file>", "plaintext")
      .requiredOption(...keyOption)
      .option("--output <file>", "sealed file to make (default: <file>.sealed)")
      .option("--name <name>", "name that whoever opens it must give (default: the file's)")
      .option("--type <type>", "media type (default: application/octet-stream)")
      .option("--file-version <n>", "version (default: one more than this state has seen)")
      .option("--replace", "put it in the place of an existing file"),
    shell,
    "vivarium file seal model.safetensors --key models.key",
    async () => (await import("../file/seal.ts")).seal,
  );
  complete<OpenOptions>(
    file
      .command("open")
      .description("verify and decrypt a sealed file; exit code 3 if it was tampered with")
      .argument("<file>", "sealed file")
      .requiredOption(...keyOption)
      .requiredOption("--output <file>", "plaintext to make (mode 0600)")
      .option("--name <name>", "name it must have (default: the file's, without .sealed)")
      .option("--type <type>", "media type it must have (default: application/octet-stream)")
      .option("--minimum-version <n>", "oldest version to take (default: newest this state saw)"),
    shell,
    "vivarium file open model.safetensors.sealed --key models.key --output model.safetensors",
    async () => (await import("../file/open.ts")).open,
  );
  complete<RewrapOptions>(
    file
      .command("rewrap")
      .description("let another key open a sealed file; its content is not touched")
      .argument("<file>", "sealed file")
      .requiredOption("--key <file>", "key file that opens it now")
      .requiredOption("--to <file>", "key file that is to open it")
      .option("--output <file>", "copy to make (default: in its place)"),
    shell,
    "vivarium file rewrap model.sealed --key old.key --to new.key",
    async () => (await import("../file/rewrap.ts")).rewrap,
  );
  complete<InspectOptions>(
    file
      .command("inspect")
      .description("show what a sealed file says of itself; with a key, verify all of it")
      .argument("<file>", "sealed file")
      .option("--key <file>", "key file: verifies header and content, and writes nothing"),
    shell,
    "vivarium file inspect model.sealed --key models.key",
    async () => (await import("../file/inspect.ts")).inspect,
  );
}
