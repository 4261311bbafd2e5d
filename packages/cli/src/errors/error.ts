/** Errors of this package. */
import { VivariumError } from "@vivarium/core";

export const cliErrorCodes = [
  /** The command line has an unknown command or option, or lacks one. */
  "usage",
  /** A configuration file does not have its form. */
  "invalid-config",
  /** A file that was handed over by another party does not have its form. */
  "invalid-file",
  /** A file or directory is absent. */
  "not-found",
  /** A file is there and cannot be read or written. */
  "inaccessible",
  /** A file is over its limit. */
  "too-large",
  /** Something would be overwritten. */
  "exists",
  /** Others than the owner can read what must stay private. */
  "unsafe-permissions",
  /** A directory that was given as state was not made by this program. */
  "not-a-state",
  /** No identity, or several and none was named. */
  "no-identity",
  /** The installed bundle of a workload is absent or was changed. */
  "bad-installation",
  /** A question was not answered with yes, or nobody was there to answer. */
  "not-confirmed",
  /** The user interrupted the command. */
  "interrupted",
  /** A fault of this program. */
  "internal",
] as const;
export type CliErrorCode = (typeof cliErrorCodes)[number];

export class CliError extends VivariumError<CliErrorCode> {
  override readonly name = "CliError";
  readonly domain = "cli";
}
