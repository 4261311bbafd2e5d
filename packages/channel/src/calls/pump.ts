/** Moves the messages of an iterable onto the wire, as credit and transport allow. */
import { ChannelError } from "../errors.ts";
import type { SendWindow } from "./window.ts";

export interface PumpTarget {
  readonly window: SendWindow;
  readonly maxMessageBytes: number;
  /** False once the exchange is over: the pump stops and closes its source. */
  active(): boolean;
  send(message: Uint8Array): Promise<void>;
}

/** Resolves when the source has ended or the exchange is over. @throws what the source throws. */
export async function pump(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  target: PumpTarget,
): Promise<void> {
  for await (const message of source) {
    if (!target.active()) return;
    if (!(message instanceof Uint8Array) || message.length > target.maxMessageBytes) {
      throw new ChannelError(
        "limit-exceeded",
        `A message of a stream is bytes, at most ${target.maxMessageBytes}.`,
      );
    }
    const wait = target.window.take(message);
    if (wait !== undefined) await wait;
    if (!target.active()) return;
    await target.send(message);
  }
}
