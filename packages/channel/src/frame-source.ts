/**
 * Frames of a transport, in two phases. Before both verdicts they are *pulled*, one expected type
 * at a time, so that a frame of the application cannot even be parsed; afterwards they are pushed.
 */
import { ChannelError } from "./errors.ts";
import { type BodyLimit, FrameParser, frameTypes } from "./frames.ts";
import type { TransportConsumer } from "./transport.ts";

/** Where frames go after the handshake. */
export interface FrameSink {
  readonly limit: BodyLimit;
  /** @throws ChannelError `protocol` or `limit-exceeded`: the channel is destroyed. */
  frame(type: number, body: Uint8Array): void;
  end(error?: Error): void;
  broken(error: unknown): void;
}

/** All that a refused side learns. */
export function peerRefused(): ChannelError {
  return new ChannelError(
    "peer-refused",
    "The peer refused this side; its own log says why, a refusal never does.",
  );
}

export class FrameSource implements TransportConsumer {
  readonly #maxBytes: number;
  readonly #parser = new FrameParser();
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #taken = 0;
  #ended: { readonly error: Error | undefined } | undefined;
  #failed: ChannelError | undefined;
  #wake: (() => void) | undefined;
  #resume: (() => void) | undefined;
  #sink: FrameSink | undefined;

  /** @param maxBytes of all frames before {@link attach}. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  data(chunk: Uint8Array): void | Promise<void> {
    if (this.#sink !== undefined) return this.#deliver(this.#sink, chunk);
    if (this.#failed !== undefined) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#wake?.();
    // What is not yet asked for stays in the kernel's buffers, not in ours.
    if (this.#buffered >= this.#maxBytes) {
      return new Promise((resolve) => {
        this.#resume = resolve;
      });
    }
  }

  end(error?: Error): void {
    if (this.#sink !== undefined) {
      this.#sink.end(error);
      return;
    }
    this.#ended = { error };
    this.#wake?.();
  }

  /** Ends the pull phase with an error: abort, time-out. */
  fail(error: ChannelError): void {
    this.#failed ??= error;
    this.#chunks = [];
    this.#wake?.();
    this.#resume?.();
  }

  /**
   * The next frame, which must have this type.
   * @throws ChannelError `peer-refused` on an alert, `protocol` on another type, `limit-exceeded`,
   * `connection-failed` at the end of the stream.
   */
  async next(expected: number, maxBodyBytes: number): Promise<Uint8Array> {
    const limit = (type: number): number => {
      if (type === frameTypes.alert) return 0;
      if (type !== expected) {
        throw new ChannelError("protocol", `Expected frame ${expected}, got ${type}.`);
      }
      return maxBodyBytes;
    };
    for (;;) {
      if (this.#failed !== undefined) throw this.#failed;
      const chunk = this.#chunks.shift();
      if (chunk === undefined) {
        if (this.#ended !== undefined) {
          throw new ChannelError("connection-failed", "The peer ended the handshake.", {
            cause: this.#ended.error,
          });
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
        continue;
      }
      let found: { readonly type: number; readonly body: Uint8Array } | undefined;
      const rest = this.#parser.push(chunk, limit, (type, body) => {
        found = { type, body };
        return false;
      });
      this.#account(chunk.length - (rest?.length ?? 0));
      if (rest !== undefined) this.#chunks.unshift(rest);
      const frame = found as { readonly type: number; readonly body: Uint8Array } | undefined;
      if (frame === undefined) continue;
      if (frame.type === frameTypes.alert) {
        throw peerRefused();
      }
      return frame.body;
    }
  }

  /** After our own sending failed: true if the peer sent an alert before it ended the connection. */
  async endedByAlert(): Promise<boolean> {
    let alerted = false;
    try {
      for (;;) {
        for (const chunk of this.#chunks.splice(0)) {
          this.#parser.push(
            chunk,
            () => this.#maxBytes,
            (type) => {
              alerted ||= type === frameTypes.alert;
              return true;
            },
          );
        }
        if (alerted || this.#failed !== undefined || this.#ended !== undefined) return alerted;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } catch {
      return alerted;
    }
  }

  #account(bytes: number): void {
    this.#buffered -= bytes;
    this.#taken += bytes;
    if (this.#buffered < this.#maxBytes) {
      this.#resume?.();
      this.#resume = undefined;
    }
    if (this.#taken > this.#maxBytes) {
      throw new ChannelError(
        "limit-exceeded",
        `The peer sent more than ${this.#maxBytes} bytes before the verdict.`,
      );
    }
  }

  /** Both verdicts are in: from now on frames are pushed, first those that already came. */
  attach(sink: FrameSink): void {
    this.#sink = sink;
    const chunks = this.#chunks;
    this.#chunks = [];
    for (const chunk of chunks) this.#deliver(sink, chunk);
    this.#resume?.();
    if (this.#ended !== undefined) sink.end(this.#ended.error);
  }

  #deliver(sink: FrameSink, chunk: Uint8Array): void {
    if (this.#failed !== undefined) return;
    try {
      this.#parser.push(chunk, sink.limit, (type, body) => {
        sink.frame(type, body);
        return true;
      });
    } catch (error) {
      this.#failed = new ChannelError("protocol", "The peer broke the protocol.", { cause: error });
      sink.broken(error);
    }
  }
}
