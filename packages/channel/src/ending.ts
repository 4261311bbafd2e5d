/** How a channel came to its end. */
import { ChannelError, type ChannelErrorCode } from "./errors.ts";

/**
 * An ordinary close makes its error only when somebody meets it: capturing a stack at every close
 * costs as much as a signature.
 */
export class Ending {
  readonly code: ChannelErrorCode;
  readonly message: string;
  #error: ChannelError | undefined;

  constructor(code: ChannelErrorCode, message: string, error?: ChannelError) {
    this.code = code;
    this.message = message;
    this.#error = error;
  }

  get error(): ChannelError {
    this.#error ??= new ChannelError(this.code, this.message);
    return this.#error;
  }
}
