/** The `vivarium` command as a function: for tests, and for programs that embed it. */
export type { ExitCode } from "./errors/entry.ts";
export type { CliErrorCode } from "./errors/error.ts";
export { CliError, cliErrorCodes } from "./errors/error.ts";
export type { Io, Sink } from "./io.ts";
export { run } from "./program.ts";
