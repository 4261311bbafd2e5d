/**
 * The pipe between a process and its launcher: one UNIX socket, frames of `u32 length ‖ MessagePack`.
 * Not Node's own IPC: that has no limit on a message, and one malformed line of a compromised child
 * throws an uncaught exception in the parent.
 */
import type { Duplex } from "node:stream";
import {
  CoreError,
  type DecodeLimits,
  decode,
  type Encodable,
  encode,
  requireWithin,
  u32,
} from "@vivarium/core";
import { WorkersError } from "./errors.ts";

export interface Link {
  /** @throws CoreError `limit-exceeded` for a message over the limit, before anything is sent. */
  send(message: Encodable): void;
  /** Resolves once everything sent has left this process, or cannot. */
  flush(): Promise<void>;
  close(): void;
}

/**
 * @param handlers `message` may throw: a message that is refused ends the link. `end` is called
 * once; with an error if the other side broke the protocol.
 */
export function openLink(
  stream: Duplex,
  limits: DecodeLimits,
  handlers: { message(value: Encodable): void; end(error?: Error): void },
): Link {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  let ended = false;
  const end = (error?: Error) => {
    if (ended) return;
    ended = true;
    held = [];
    stream.destroy();
    handlers.end(error);
  };
  const frame = (): Uint8Array | undefined => {
    if (heldBytes < 4) return undefined;
    const all = held.length === 1 ? (held[0] as Uint8Array) : join(held, heldBytes);
    held = [all];
    const length = new DataView(all.buffer, all.byteOffset).getUint32(0);
    requireWithin("Bytes of a message", length, limits.maxBytes);
    if (all.length < 4 + length) return undefined;
    held = [all.subarray(4 + length)];
    heldBytes = all.length - 4 - length;
    return all.subarray(4, 4 + length);
  };
  stream.on("data", (chunk: Uint8Array) => {
    if (ended) return;
    held.push(chunk);
    heldBytes += chunk.length;
    // A large frame comes in many chunks: look again only when it may be complete.
    if (heldBytes < pending(held, heldBytes, limits)) return;
    try {
      for (let body = frame(); body !== undefined && !ended; body = frame()) {
        handlers.message(decode(body, limits));
      }
    } catch (cause) {
      end(protocolError(cause));
    }
  });
  stream.on("end", () => end());
  stream.on("close", () => end());
  stream.on("error", () => end());
  return {
    send(message) {
      const body = encode(message);
      requireWithin("Bytes of a message", body.length, limits.maxBytes);
      if (ended) return;
      stream.write(u32(body.length));
      stream.write(body);
    },
    flush: () =>
      new Promise((resolve) => {
        if (ended) resolve();
        else stream.write(new Uint8Array(0), () => resolve());
      }),
    close: () => end(),
  };
}

function protocolError(cause: unknown): Error {
  if (cause instanceof WorkersError) return cause;
  const reason = cause instanceof CoreError ? cause.message : "A handler failed.";
  return new WorkersError("protocol", `The link between worker and launcher broke. ${reason}`, {
    cause,
  });
}

/** Bytes needed before the first frame can be complete. */
function pending(held: readonly Uint8Array[], bytes: number, limits: DecodeLimits): number {
  const first = held[0] as Uint8Array;
  if (bytes < 4) return 4;
  if (first.length < 4) return 0;
  const length = new DataView(first.buffer, first.byteOffset).getUint32(0);
  return length > limits.maxBytes ? 0 : 4 + length;
}

function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}
