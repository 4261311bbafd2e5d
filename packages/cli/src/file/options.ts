/** Options of the `file` commands, as Commander hands them over. */
import { CliError } from "../errors/error.ts";

export interface SealOptions {
  readonly key: string;
  readonly output?: string;
  readonly name?: string;
  readonly type?: string;
  readonly fileVersion?: string;
  readonly replace?: true;
}

export interface OpenOptions {
  readonly key: string;
  readonly output: string;
  readonly name?: string;
  readonly type?: string;
  readonly minimumVersion?: string;
}

export interface RewrapOptions {
  readonly key: string;
  readonly to: string;
  readonly output?: string;
}

export interface InspectOptions {
  readonly key?: string;
}

export const defaultType = "application/octet-stream";
export const suffix = ".sealed";

/** @throws CliError `usage`. */
export function wholeNumber(option: string, text: string, min: number): number {
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value) || value < min) {
    throw new CliError("usage", `${option} takes a whole number from ${min}, not "${text}".`);
  }
  return value;
}
