/** The command line: parses arguments, runs one command, turns errors into one line. */
import { Command, CommanderError } from "commander";
import type { Shell } from "./command.ts";
import { registerAudit } from "./commands/audit.ts";
import { registerBroker } from "./commands/broker.ts";
import { registerCollateral } from "./commands/collateral.ts";
import { registerDoctor } from "./commands/doctor.ts";
import { registerErrors } from "./commands/errors.ts";
import { registerEvidence } from "./commands/evidence.ts";
import { registerFederated } from "./commands/federated.ts";
import { registerFile } from "./commands/file.ts";
import { registerIdentity } from "./commands/identity.ts";
import { registerPolicy } from "./commands/policy.ts";
import { registerPsi } from "./commands/psi.ts";
import { registerReceipt } from "./commands/receipt.ts";
import { registerReference } from "./commands/reference.ts";
import { registerServing } from "./commands/serving.ts";
import { registerSev } from "./commands/sev.ts";
import { registerState } from "./commands/state.ts";
import type { ExitCode } from "./errors/entry.ts";
import { CliError } from "./errors/error.ts";
import { reportError } from "./errors/report.ts";
import type { Io } from "./io.ts";
import { programVersion } from "./version.ts";

/**
 * Runs one command.
 * @param args without the program's own name.
 * @returns the exit code; never throws.
 */
export async function run(args: readonly string[], io: Io): Promise<ExitCode> {
  const shell: Shell = { io, run, outcome: { exit: 0 } };
  // Before parsing: an error of the command line itself must have the wanted form, too.
  const own = args.slice(0, args.includes("--") ? args.indexOf("--") : undefined);
  const { VIVARIUM_DEBUG: debug } = io.env;
  const json = own.includes("--json");
  const verbose = own.includes("--verbose") || debug === "1";
  try {
    await createProgram(shell, await programVersion()).parseAsync([...args], { from: "user" });
    return shell.outcome.exit;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
    return reportError(asUserError(thrown, io), io, { json, verbose });
  }
}

/** The commands with their options and help; implementations load when they run. */
export function createProgram(shell: Shell, version: string): Command {
  const program = new Command("vivarium")
    .description(
      "attested workers: private set intersection, federated learning and inference serving between parties who do not trust each other",
    )
    .version(version, "--version", "print the version")
    .helpOption("--help", "show help")
    .helpCommand(false)
    .addHelpText(
      "after",
      "\nExample:\n  $ vivarium psi demo\n  $ vivarium psi run --config alice.yaml\n  $ vivarium federated demo\n\nExit codes: 0 done, 1 failed, 2 bad input, 3 refused by policy.",
    );
  const register = [
    registerIdentity,
    registerPolicy,
    registerEvidence,
    registerCollateral,
    registerReference,
    registerSev,
    registerPsi,
    registerFederated,
    registerServing,
    registerReceipt,
    registerFile,
    registerAudit,
    registerBroker,
    registerState,
    registerDoctor,
    registerErrors,
  ];
  for (const each of register) each(program, shell);
  settle(program, shell.io);
  return program;
}

/** Settings that Commander does not hand down to subcommands made before. */
function settle(command: Command, io: Io): void {
  command
    .exitOverride()
    .helpOption("--help", "show help")
    .helpCommand(false)
    .allowExcessArguments(false)
    .showHelpAfterError(false)
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      // Errors are reported once, by us.
      writeErr: () => {},
      getOutHelpWidth: () => io.stdout.columns,
    });
  if (command.commands.length > 0 && command.parent !== null) {
    command.addHelpText(
      "after",
      `\nExample:\n  $ vivarium ${command.name()} ${first(command)} --help`,
    );
  }
  if (command.commands.length > 0) {
    // Without an action Commander prints its help to the error stream and exits with 1.
    // Excess arguments are unknown commands, which deserve the list of known ones.
    command.allowExcessArguments(true).action(() => {
      throw new CommanderError(2, "commander.missingCommand", missing(command));
    });
  }
  for (const child of command.commands) settle(child, io);
}

/** Not for users: see its file. */
const hidden = "errors";

function first(command: Command): string {
  return (command.commands[0] as Command).name();
}

function missing(command: Command): string {
  const [unknown] = command.args;
  const names = command.commands
    .filter((child) => child.name() !== hidden)
    .map((child) => child.name())
    .join(", ");
  return unknown === undefined
    ? `A command is missing; there are ${names}.`
    : `There is no command ${unknown}; there are ${names}.`;
}

/** Commander's errors and interruptions as errors of ours. */
function asUserError(thrown: unknown, io: Io): unknown {
  if (thrown instanceof CommanderError) {
    const line = thrown.message.replace(/^error: /, "").replace(/\s*\n\s*/g, " ");
    const text = `${line.charAt(0).toUpperCase()}${line.slice(1)}`;
    return new CliError("usage", text, { cause: thrown });
  }
  if (io.signal.aborted && !(thrown instanceof CliError)) {
    return new CliError("interrupted", "The command was interrupted.", { cause: thrown });
  }
  return thrown;
}
