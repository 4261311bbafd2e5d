/** A bounded queue of frames between a producer and one consumer. */
export class Outbox implements AsyncIterable<Uint8Array> {
  readonly #capacity: number;
  #frames: Uint8Array[] = [];
  #ended = false;
  #discarding = false;
  #wakeConsumer: (() => void) | undefined;
  #wakeProducers: (() => void)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Whether nothing waits. */
  get idle(): boolean {
    return this.#frames.length === 0;
  }

  /** Resolves when there is room for another frame. Frames after the end are dropped. */
  async push(frame: Uint8Array): Promise<void> {
    if (this.#ended || this.#discarding) return;
    this.#frames.push(frame);
    this.#wake();
    while (this.#frames.length >= this.#capacity && !this.#discarding) {
      await new Promise<void>((resolve) => this.#wakeProducers.push(resolve));
    }
  }

  /** The consumer gets what is queued, then the end. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Drops what is queued. */
  clear(): void {
    this.#frames = [];
    this.#release();
  }

  /** Drops what is queued and all that follows; producers never wait again. */
  discard(): void {
    this.#discarding = true;
    this.clear();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const frame = this.#frames.shift();
        if (frame !== undefined) {
          this.#release();
          yield frame;
        } else if (this.#ended) {
          return;
        } else {
          await new Promise<void>((resolve) => {
            this.#wakeConsumer = resolve;
          });
        }
      }
    } finally {
      // A consumer that went away must not leave producers waiting.
      this.discard();
    }
  }

  #wake(): void {
    this.#wakeConsumer?.();
    this.#wakeConsumer = undefined;
  }

  #release(): void {
    for (const wake of this.#wakeProducers.splice(0)) wake();
  }
}
