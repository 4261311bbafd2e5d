/** One call or stream, at either end, as the multiplexer sees it. Default: not for this kind. */
import { ChannelError } from "../errors.ts";

export abstract class Exchange {
  readonly id: number;

  constructor(id: number) {
    this.id = id;
  }

  data(_message: Uint8Array): void {
    throw unexpected("data");
  }

  end(): void {
    throw unexpected("an end");
  }

  credit(_bytes: number): void {
    throw unexpected("credit");
  }

  response(_body: Uint8Array): void {
    throw unexpected("a response");
  }

  error(_body: Uint8Array): void {
    throw unexpected("an error");
  }

  cancel(): void {
    throw unexpected("a cancellation");
  }

  /** The channel is gone, or this exchange is abandoned by our side. Sends nothing. */
  abstract fail(error: unknown): void;
}

function unexpected(what: string): ChannelError {
  return new ChannelError("protocol", `The peer sent ${what} to a call that takes none.`);
}
