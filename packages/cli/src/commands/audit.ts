/** `audit init`, `append`, `show`, `prove`, `verify`, `watch`, `witness`. */
import { type Command, Option } from "commander";
import type {
  AppendOptions,
  InitOptions,
  LogOptions,
  ProveOptions,
  ShowOptions,
  VerifyOptions,
  WatchOptions,
  WitnessOptions,
} from "../audit/options.ts";
import { complete, type Shell } from "../command.ts";

const many = (value: string, before: string[] = []): string[] => [...before, value];

/** Which log, and under which key: by default one's own. */
function ofLog(command: Command): Command {
  return command
    .option("--log <dir>", "directory of the log (default: the state directory's own)")
    .option("--key <vkey>", "key of the log, name+id+base64 (default: one's own)")
    .addOption(
      new Option("--witness <vkey>", "key of a witness; may be given several times").argParser(
        many,
      ),
    )
    .option("--quorum <n>", "witnesses that must have cosigned (default: all that are named)");
}

export function registerAudit(program: Command, shell: Shell): void {
  const audit = program
    .command("audit")
    .description("the audit log: what was released or run, provable later");

  complete<InitOptions>(
    audit
      .command("init")
      .description("start an audit log in the state directory, and print its key")
      .requiredOption("--name <name>", "its name for ever, such as example.org/audit"),
    shell,
    "vivarium audit init --name example.org/audit",
    async () => (await import("../audit/write.ts")).init,
  );
  complete<AppendOptions>(
    audit
      .command("append")
      .description("log the digest of a receipt, once it has verified")
      .argument("<receipt>", "receipt of a run"),
    shell,
    "vivarium audit append alice.receipt",
    async () => (await import("../audit/write.ts")).append,
  );
  complete<ShowOptions>(
    ofLog(
      audit
        .command("show")
        .description("print entries, each held against the signed checkpoint")
        .option("--from <n>", "first entry (default: 20 before the end)")
        .option("--count <n>", "how many (default: 20, at most 1000)"),
    ),
    shell,
    "vivarium audit show --count 5",
    async () => (await import("../audit/show.ts")).show,
  );
  complete<ProveOptions>(
    ofLog(
      audit
        .command("prove")
        .description("write a proof of one entry, which stands by itself")
        .argument("<index>", "which entry")
        .requiredOption("--output <file>", "proof to make"),
    ),
    shell,
    "vivarium audit prove 17 --output entry-17.tlog-proof",
    async () => (await import("../audit/show.ts")).prove,
  );
  complete<VerifyOptions>(
    ofLog(
      audit
        .command("verify")
        .description("verify every byte of a log, or one proof; exit code 3 if it was changed")
        .option("--since <file>", "an older checkpoint that the log must have grown out of")
        .option("--proof <file>", "verify this proof instead of a log (needs no log)"),
    ),
    shell,
    "vivarium audit verify --log ./audit --key example.org/audit+… --since checkpoint.monday",
    async () => (await import("../audit/verify.ts")).verify,
  );
  complete<WatchOptions & LogOptions>(
    ofLog(
      audit
        .command("watch")
        .description("follow a log and stop with exit code 3 when it is set back or forked")
        .requiredOption("--memory <file>", "where the newest checkpoint seen is kept")
        .option("--interval <seconds>", "between two looks (default: 10)")
        .option("--once", "look once"),
    ),
    shell,
    "vivarium audit watch --log ./audit --key example.org/audit+… --memory seen.checkpoint",
    async () => (await import("../audit/watch.ts")).watch,
  );
  complete<WitnessOptions>(
    audit
      .command("witness")
      .description("cosign what logs of others grow to, and nothing else, until interrupted")
      .requiredOption("--name <name>", "name of this witness, such as witness.example/w1")
      .addOption(
        new Option("--of <vkey>", "key of a log; may be given several times")
          .argParser(many)
          .makeOptionMandatory(),
      )
      .requiredOption("--listen <host:port>", "where logs ask (tlog-witness, HTTP)"),
    shell,
    "vivarium audit witness --name witness.example/w1 --of example.org/broker+… --listen 0.0.0.0:7480",
    async () => (await import("../audit/witness.ts")).witness,
  );
}
