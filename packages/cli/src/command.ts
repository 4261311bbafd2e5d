/** What all commands share: common options, help with an example, output, errors. */
import type { Command } from "commander";
import type { ExitCode } from "./errors/entry.ts";
import { CliError } from "./errors/error.ts";
import { absolute } from "./files.ts";
import { type Io, printable } from "./io.ts";
import { openState, type State, statePath } from "./state.ts";

/** JSON that a command prints. */
export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

/** What the implementation of a command gets beside its own options. */
export interface Context {
  readonly io: Io;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Opens the state directory of `--state` or the default one. */
  state(options: { readonly create: boolean }): Promise<State>;
  /** Absolute path of an argument. */
  path(argument: string): string;
  /** Prints the result: the object with `--json`, else the lines. */
  print(value: Json, lines: readonly string[]): void;
  /** A remark for people on standard error; nothing with `--json`. */
  note(line: string): void;
}

export type Action<Options> = (
  context: Context,
  options: Options,
  ...args: string[]
) => Promise<ExitCode>;

/** Where a finished command leaves its exit code. */
export interface Outcome {
  exit: ExitCode;
}

export interface Shell {
  readonly io: Io;
  /** Runs another command line, for commands that are made of commands. */
  run(args: readonly string[], io: Io): Promise<ExitCode>;
  readonly outcome: Outcome;
}

interface CommonOptions {
  readonly json?: true;
  readonly verbose?: true;
  readonly state?: string;
}

/**
 * Completes a command: common options, an example in its help, and the action.
 * @param example one or more lines, without the prompt.
 * @param load imports the implementation, when the command runs and not before.
 */
export function complete<Options extends object>(
  command: Command,
  shell: Shell,
  example: string,
  load: () => Promise<Action<Options>>,
): Command {
  return command
    .option("--json", "print one JSON object instead of text")
    .option("--state <dir>", "state directory (default: $XDG_STATE_HOME/vivarium)")
    .option("--verbose", "show the stack of an error")
    .addHelpText("after", `\nExample:\n${indent(example)}`)
    .action(async (...all: unknown[]) => {
      // Commander hands over the arguments, then the options, then the command.
      const options = all.at(-2) as Options & CommonOptions;
      const args = all
        .slice(0, -2)
        .flat()
        .filter((value) => typeof value === "string");
      const action = await load();
      shell.outcome.exit = await action(context(shell.io, options), options, ...args);
    });
}

function context(io: Io, options: CommonOptions): Context {
  const json = options.json === true;
  return {
    io,
    json,
    verbose: options.verbose === true,
    state: (how) => openState(statePath(io, options.state), how),
    path: (argument) => absolute(io.cwd, argument),
    print(value, lines) {
      if (json) io.stdout.write(`${JSON.stringify(value)}\n`);
      else for (const line of lines) io.stdout.write(`${printable(line)}\n`);
    },
    note(line) {
      if (!json) io.stderr.write(`${printable(line)}\n`);
    },
  };
}

/**
 * Asks on a terminal; elsewhere only `--yes` counts.
 * @throws CliError `not-confirmed`.
 */
export async function confirm(io: Io, question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!io.interactive) {
    throw new CliError("not-confirmed", `${question} Nobody can answer here.`);
  }
  const answer = await io.ask(`${printable(question)} Type yes to go on: `);
  if (answer.trim().toLowerCase() !== "yes") {
    throw new CliError("not-confirmed", "The answer was not yes; nothing was changed.");
  }
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `  $ ${line}`)
    .join("\n");
}
