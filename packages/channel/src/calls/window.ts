/** Credit of a stream: what the receiver allows the sender, so that a slow consumer bounds memory. */
import { ChannelError } from "../errors.ts";
import { initialWindowBytes, messageOverheadBytes } from "../limits.ts";

/** What a message costs of the window. */
export function costOf(message: Uint8Array): number {
  return message.length + messageOverheadBytes;
}

/** The sender's side. One pump uses it. */
export class SendWindow {
  #credit = initialWindowBytes;
  #wake: (() => void) | undefined;
  #closed = false;

  /** Takes credit for a message; a promise if it has to wait. Resolves also when closed. */
  take(message: Uint8Array): undefined | Promise<void> {
    const cost = costOf(message);
    if (this.#credit >= cost) {
      this.#credit -= cost;
      return undefined;
    }
    return this.#wait(cost);
  }

  async #wait(cost: number): Promise<void> {
    while (this.#credit < cost && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#credit -= cost;
  }

  /** @throws ChannelError `protocol` if the sum passes what a 32-bit count can hold. */
  add(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > 0xffff_ffff) {
      throw new ChannelError("protocol", "The peer gave more credit than a window can hold.");
    }
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }
}

/** The receiver's side: holds the peer to its credit and returns what was consumed. */
export class ReceiveWindow {
  readonly #window: number;
  readonly #give: (bytes: number) => void;
  #allowed = initialWindowBytes;
  #owed: number;

  constructor(windowBytes: number, give: (bytes: number) => void) {
    this.#window = windowBytes;
    this.#give = give;
    this.#owed = windowBytes - initialWindowBytes;
  }

  /** Gives the rest of the window, once the peer's stream is known to be wanted. */
  open(): void {
    this.#return(0);
  }

  /** @throws ChannelError `limit-exceeded` if the peer sent without credit. */
  received(message: Uint8Array): void {
    this.#allowed -= costOf(message);
    if (this.#allowed < 0) {
      throw new ChannelError("limit-exceeded", "The peer sent more than its window.");
    }
  }

  consumed(message: Uint8Array): void {
    this.#owed += costOf(message);
    // A quarter: few credit frames, and at least half the window is always on its way back.
    this.#return(this.#window / 4);
  }

  #return(threshold: number): void {
    if (this.#owed === 0 || this.#owed < threshold) return;
    const bytes = this.#owed;
    this.#owed = 0;
    this.#allowed += bytes;
    this.#give(bytes);
  }
}
