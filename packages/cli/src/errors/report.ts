/** How an error reaches the user: one line, or one JSON object; never a stack unless asked for. */
import { VivariumError } from "@vivarium/core";
import { type Io, type Language, languageOf, printable } from "../io.ts";
import { entryOf } from "./catalogue.ts";
import type { Entry, ExitCode } from "./entry.ts";
import { CliError } from "./error.ts";

export interface ReportOptions {
  /** One JSON object instead of one line. */
  readonly json: boolean;
  /** Also the stack and the causes, for developers. */
  readonly verbose: boolean;
}

/** What `--json` prints for an error, on standard error. */
export interface ErrorObject {
  readonly error: {
    readonly id: string;
    readonly domain: string;
    readonly code: string;
    readonly message: string;
    readonly meaning: string;
    readonly action: string;
    readonly exit: ExitCode;
  };
}

/** Writes the error and @returns the exit code of the process. */
export function reportError(thrown: unknown, io: Io, options: ReportOptions): ExitCode {
  const error = typed(thrown);
  const language = languageOf(io.env);
  const entry = entryOf(error.domain, error.code);
  if (options.json) {
    io.stderr.write(`${JSON.stringify(errorObject(error, entry, language))}\n`);
  } else {
    io.stderr.write(`${errorLine(error, entry, language)}\n`);
  }
  if (options.verbose) io.stderr.write(`${trace(thrown)}\n`);
  return entry.exit;
}

/** `error[domain/code]: message. what to do` */
export function errorLine(error: VivariumError, entry: Entry, language: Language): string {
  const message = sentence(printable(error.message));
  if (language === "en") return `error[${error.id}]: ${message} ${entry.en.action}`;
  return `错误[${error.id}]：${entry.zh.meaning}${entry.zh.action}（${message}）`;
}

function errorObject(error: VivariumError, entry: Entry, language: Language): ErrorObject {
  const { domain, code } = error.toJSON();
  return {
    error: {
      id: error.id,
      domain,
      code,
      message: printable(error.message),
      ...entry[language],
      exit: entry.exit,
    },
  };
}

function sentence(text: string): string {
  return /[.!?。]$/.test(text) ? text : `${text}.`;
}

/**
 * Anything thrown as an error of ours. The message of a foreign error may quote the user's data, so
 * only its class is named.
 */
function typed(thrown: unknown): VivariumError {
  if (thrown instanceof VivariumError) return thrown;
  const name = thrown instanceof Error ? thrown.name : typeof thrown;
  return new CliError("internal", `An unexpected ${name} was thrown.`, { cause: thrown });
}

/** The stack and every cause behind it. */
function trace(thrown: unknown): string {
  const parts: string[] = [];
  let current: unknown = thrown;
  // A cause may point back at its own effect.
  for (let depth = 0; depth < 8 && current !== undefined; depth++) {
    parts.push(current instanceof Error ? (current.stack ?? current.message) : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.join("\ncaused by: ");
}
