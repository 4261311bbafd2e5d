/** A bounded queue from callbacks to one `for await` loop. */
import { WorkersError } from "./errors.ts";

export interface Mailbox<T> extends AsyncIterable<T> {
  /** @throws WorkersError `quota-exceeded` if the reader is too far behind. */
  put(value: T): void;
  /** No more will come; what is there is still read. */
  close(): void;
}

export function createMailbox<T>(limit: number): Mailbox<T> {
  const held: T[] = [];
  let closed = false;
  let wake: (() => void) | undefined;
  const signal = () => {
    wake?.();
    wake = undefined;
  };
  return {
    put(value) {
      if (closed) return;
      if (held.length >= limit) {
        throw new WorkersError("quota-exceeded", `More than ${limit} messages wait to be read.`);
      }
      held.push(value);
      signal();
    },
    close() {
      closed = true;
      signal();
    },
    async *[Symbol.asyncIterator]() {
      for (;;) {
        while (held.length > 0) yield held.shift() as T;
        if (closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
