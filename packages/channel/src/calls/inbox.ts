/** Incoming messages of one stream: a queue that a consumer iterates. Bounded by credit. */
import type { ChannelError } from "../errors.ts";

interface Waiter {
  readonly resolve: (result: IteratorResult<Uint8Array>) => void;
  readonly reject: (error: unknown) => void;
}

export class Inbox implements AsyncIterableIterator<Uint8Array> {
  readonly #consumed: (message: Uint8Array) => void;
  readonly #left: () => void;
  #items: Uint8Array[] = [];
  #head = 0;
  #waiters: Waiter[] = [];
  #state: "open" | "ended" | "failed" | "left" = "open";
  #error: unknown;

  /**
   * @param consumed a message has been taken by the consumer: gives credit.
   * @param left the consumer left its loop early.
   */
  constructor(consumed: (message: Uint8Array) => void, left: () => void) {
    this.#consumed = consumed;
    this.#left = left;
  }

  /** Messages that wait. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  push(message: Uint8Array): void {
    if (this.#state !== "open") return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#items.push(message);
    } else {
      waiter.resolve({ done: false, value: message });
      this.#consumed(message);
    }
  }

  /** No more messages; those that wait are still delivered. */
  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    for (const { resolve } of this.#waiters.splice(0)) resolve({ done: true, value: undefined });
  }

  /** Fails at once and drops what waits: a broken stream never looks like a whole one. */
  fail(error: unknown): void {
    if (this.#state === "failed" || this.#state === "left") return;
    if (this.#state === "ended" && this.length === 0) return;
    this.#state = "failed";
    this.#error = error;
    this.#items = [];
    this.#head = 0;
    const [first, ...others] = this.#waiters.splice(0);
    first?.reject(error);
    if (first !== undefined) this.#error = undefined;
    for (const { reject } of others) reject(error);
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const message = this.#items[this.#head];
    if (message !== undefined) {
      this.#head++;
      // Dropped in batches: shift() of a long array is linear.
      if (this.#head === this.#items.length || this.#head > 1024) {
        this.#items = this.#items.slice(this.#head);
        this.#head = 0;
      } else this.#items[this.#head - 1] = empty;
      this.#consumed(message);
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#state === "open") {
      return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    }
    if (this.#state === "failed" && this.#error !== undefined) {
      const error = this.#error as ChannelError;
      this.#error = undefined;
      return Promise.reject(error);
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    if (this.#state === "open" || (this.#state === "ended" && this.length > 0)) {
      this.#state = "left";
      this.#items = [];
      this.#head = 0;
      for (const { resolve } of this.#waiters.splice(0)) resolve({ done: true, value: undefined });
      this.#left();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

const empty = new Uint8Array(0);
