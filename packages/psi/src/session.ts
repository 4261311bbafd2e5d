/**
 * Frames between the two roles: order, bounds, failure on both sides, transcript. A frame is one type
 * byte and a payload. Knows nothing of points.
 */
import { createHash } from "node:crypto";
import { type Clock, labels, lengthPrefixed, u32 } from "@vivarium/core";
import { PsiError, type PsiErrorCode, psiErrorCodes } from "./errors.ts";
import { psiLimits } from "./limits.ts";
import { Outbox } from "./outbox.ts";

export const frameTypes = {
  hello: 1,
  sizes: 2,
  points: 3,
  tags: 4,
  bitmap: 5,
  count: 6,
  done: 7,
  abort: 8,
  resume: 9,
  evaluated: 10,
  payloads: 11,
  alive: 12,
} as const;
export type FrameType = keyof typeof frameTypes;

/** What the protocol needs of a channel. */
export interface Link {
  /** Hands over what we send and gives what the peer sends, as one stream each. */
  connect(outgoing: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** Same bytes on both sides of this channel only. */
  exportKey(context: Uint8Array, length: number): Uint8Array;
}

export class Session {
  readonly #outbox = new Outbox(psiLimits.queuedFrames);
  readonly #inbox = new Outbox(psiLimits.queuedFrames);
  readonly #frames: AsyncIterator<Uint8Array>;
  readonly #pump: Promise<void>;
  readonly #clock: Clock;
  readonly #idleTimeoutMs: number;
  readonly #sent = createHash("sha256");
  readonly #received = createHash("sha256");
  readonly #failed: Promise<never>;
  readonly #readHello: Promise<void>;
  #helloRead: () => void = () => undefined;
  #reject: (error: PsiError) => void = () => undefined;
  #failure: PsiError | undefined;
  /** Monotonic milliseconds of the last frame of the peer, heartbeats included. */
  #heard: number;
  #stopBeating: () => void = () => undefined;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(link: Link, clock: Clock, idleTimeoutMs: number) {
    this.#clock = clock;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#heard = clock.monotonic();
    this.#failed = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    this.#failed.catch(() => undefined);
    this.#readHello = new Promise((resolve) => {
      this.#helloRead = resolve;
    });
    this.#frames = this.#inbox[Symbol.asyncIterator]();
    this.#pump = this.#read(link.connect(this.#outbox));
    this.#beat();
  }

  /** While this side reads a large table, or computes, the peer hears that it lives. */
  #beat(): void {
    const interval = Math.min(psiLimits.heartbeatMs, this.#idleTimeoutMs / 3);
    this.#stopBeating = this.#clock.after(interval, () => {
      if (this.#failure !== undefined) return;
      // Frames that wait say as much.
      if (this.#outbox.idle) {
        this.#outbox.push(Uint8Array.of(frameTypes.alive)).catch(() => undefined);
      }
      this.#beat();
    });
  }

  /** Ends every pending and future operation with the first error given. */
  fail(error: PsiError): void {
    if (this.#failure !== undefined) return;
    this.#helloRead();
    this.#failure = error;
    this.#reject(error);
  }

  /** The promise, or the failure of the session if that comes first. */
  guard<T>(work: Promise<T>): Promise<T> {
    work.catch(() => undefined);
    return Promise.race([this.#failed, work]);
  }

  /** Resolves when there is room for the next frame. */
  async send(type: FrameType, payload: Uint8Array): Promise<void> {
    this.#throwIfFailed();
    const frame = new Uint8Array(1 + payload.length);
    frame[0] = frameTypes[type];
    frame.set(payload, 1);
    if (type !== "done") this.#sent.update(u32(frame.length)).update(frame);
    this.bytesSent += frame.length;
    await this.guard(this.#outbox.push(frame));
  }

  /** The payload of the next frame, which must be of that type and at most that long. */
  async receive(type: FrameType, maxBytes: number): Promise<Uint8Array> {
    this.#throwIfFailed();
    let cancel: () => void = () => undefined;
    const begin = this.#clock.monotonic();
    const idle = new Promise<never>((_, reject) => {
      const wait = (ms: number): void => {
        cancel = this.#clock.after(ms, () => {
          const left =
            this.#idleTimeoutMs - (this.#clock.monotonic() - Math.max(this.#heard, begin));
          if (left <= 0) reject(this.#timeout());
          else wait(left);
        });
      };
      wait(this.#idleTimeoutMs);
    });
    try {
      const next = await this.guard(Promise.race([this.#frames.next(), idle]));
      if (next.done === true) throw lost();
      const frame = next.value;
      if (frame[0] !== frameTypes[type]) {
        throw new PsiError("protocol", `Expected a ${type} frame, the peer sent another.`);
      }
      if (frame.length - 1 > maxBytes) {
        throw new PsiError("protocol", `A ${type} frame is over its limit of ${maxBytes} bytes.`);
      }
      // In a later turn of the event loop: this side compares first.
      setImmediate(this.#helloRead);
      if (type !== "done") this.#received.update(u32(frame.length)).update(frame);
      return frame.subarray(1);
    } finally {
      cancel();
    }
  }

  /**
   * Digest of all frames so far but `done`, the receiver's first: equal on both sides.
   * @param before transcripts of the same session over earlier channels.
   */
  transcript(
    role: "receiver" | "sender",
    session: Uint8Array,
    before: readonly Uint8Array[] = [],
  ): Uint8Array<ArrayBuffer> {
    const own = this.#sent.copy().digest();
    const peer = this.#received.copy().digest();
    const [first, second] = role === "receiver" ? [own, peer] : [peer, own];
    const framed = lengthPrefixed(labels.psiTranscript, session, ...before, first, second);
    return new Uint8Array(createHash("sha256").update(framed).digest());
  }

  /** Ends well: nothing is to follow. Waits a bounded time until the peer has our last frame. */
  async finish(): Promise<void> {
    this.#stopBeating();
    this.#outbox.end();
    await this.#linger();
  }

  /** Ends badly: tells the peer the code, and no more than that. */
  async abort(error: PsiError): Promise<void> {
    this.fail(error);
    this.#stopBeating();
    this.#outbox.clear();
    const code = new TextEncoder().encode(error.code);
    const frame = Uint8Array.of(frameTypes.abort, ...code);
    this.#outbox.push(frame).catch(() => undefined);
    this.#outbox.end();
    await this.#linger();
  }

  /** Reads what the peer still sends, so that it is not stuck sending, until its end. */
  async #linger(): Promise<void> {
    this.#inbox.discard();
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(psiLimits.lingerMs, resolve);
      void this.#pump.finally(() => {
        cancel();
        resolve();
      });
    });
    this.#outbox.discard();
  }

  /**
   * An abort is seen at once, even while this side only computes or sends. Only behind the peer's
   * Hello it waits for its turn: who differs in the configuration is to read how, not just that the
   * other gave up.
   */
  async #read(incoming: AsyncIterable<Uint8Array>): Promise<void> {
    let hello = false;
    try {
      for await (const frame of incoming) {
        this.#heard = this.#clock.monotonic();
        if (frame.length === 1 && frame[0] === frameTypes.alive) continue;
        this.bytesReceived += frame.length;
        if (frame[0] !== frameTypes.abort) {
          await this.#inbox.push(frame);
          hello = true;
          continue;
        }
        if (hello) await this.#readHello;
        this.fail(peerAborted(frame.subarray(1)));
      }
      this.#inbox.end();
    } catch (cause) {
      this.fail(lost(cause));
    }
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #timeout(): PsiError {
    const seconds = this.#idleTimeoutMs / 1000;
    return new PsiError("timeout", `The peer was silent for ${seconds} s.`);
  }
}

function lost(cause?: unknown): PsiError {
  return new PsiError("connection-lost", "The channel ended before the run did.", { cause });
}

/** Only a code of the closed list passes: a peer writes no text into our messages. */
function peerAborted(bytes: Uint8Array): PsiError {
  const text = bytes.length > 64 ? "" : new TextDecoder().decode(bytes);
  const code = psiErrorCodes.find((known): known is PsiErrorCode => known === text);
  return new PsiError("peer-aborted", `The peer ended the run: ${code ?? "no known code"}.`);
}
