/**
 * The error base. Every package has one subclass with a closed union of codes; a code says what the
 * caller should do, the message what happened, where, and what to do about it. Neither may hold a
 * secret or plaintext of a user's data.
 */

/** What an error looks like as data: in logs, in `--json` output, across a worker thread. */
export interface ErrorRecord {
  readonly domain: string;
  readonly code: string;
  readonly message: string;
}

/** Base of every error that Vivarium throws. */
export abstract class VivariumError<Code extends string = string> extends Error {
  /** The package that threw it: `channel`, `psi`, … */
  abstract readonly domain: string;
  readonly code: Code;

  constructor(code: Code, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
  }

  /** `domain/code`: the key of `docs/errors.md`. */
  get id(): string {
    return `${this.domain}/${this.code}`;
  }

  /**
   * Domain, code and message, and nothing else: a stack shows paths, and a cause may come from a
   * library that quotes its input.
   */
  toJSON(): ErrorRecord {
    return { domain: this.domain, code: this.code, message: this.message };
  }
}

export const coreErrorCodes = [
  /** Bytes from outside do not have the form they should. */
  "malformed",
  /** A length, count or depth is over its named limit. */
  "limit-exceeded",
  /** A caller of the library passed a value outside its documented range. */
  "invalid-argument",
  /** The operation was cancelled through its `AbortSignal`. */
  "aborted",
  /** Another thread or process failed with an error that has no class here. */
  "remote-failure",
  /** This runtime cannot do the requested cryptography. */
  "unsupported",
] as const;
export type CoreErrorCode = (typeof coreErrorCodes)[number];

export class CoreError extends VivariumError<CoreErrorCode> {
  override readonly name = "CoreError";
  readonly domain = "core";
}

/** A class that can be rebuilt from an {@link ErrorRecord}. */
export interface ErrorClass {
  readonly domain: string;
  readonly codes: readonly string[];
  create(code: string, message: string): VivariumError;
}

/** The result of work in another thread. An `Error` that is cloned loses its class and code. */
export type Tagged<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: ErrorRecord };

/**
 * Turns anything thrown into data that survives a structured clone. Errors that are not Vivarium's
 * keep their message only in `fallback`, for they may quote the user's data.
 */
export function toErrorRecord(thrown: unknown, fallback = "A task failed."): ErrorRecord {
  if (thrown instanceof VivariumError) return thrown.toJSON();
  return { domain: "core", code: "remote-failure", message: fallback };
}

/** Rebuilds the typed error on the other side; unknown classes become `remote-failure`. */
export function fromErrorRecord(
  record: ErrorRecord,
  classes: readonly ErrorClass[] = [],
): VivariumError {
  for (const known of [...classes, coreErrorClass]) {
    if (known.domain === record.domain && known.codes.includes(record.code)) {
      return known.create(record.code, record.message);
    }
  }
  return new CoreError("remote-failure", `${record.domain}/${record.code}: ${record.message}`);
}

/** How to rebuild a {@link CoreError}. */
export const coreErrorClass: ErrorClass = {
  domain: "core",
  codes: coreErrorCodes,
  create: (code, message) => new CoreError(code as CoreErrorCode, message),
};

/** Throws `aborted` when the signal has fired; the reason is the cause. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new CoreError("aborted", "The operation was cancelled.", { cause: signal.reason });
  }
}
