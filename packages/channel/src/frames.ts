/**
 * Frames: `u32 length ‖ u8 type ‖ body`, big-endian, `length` counts type and body. The length is
 * held against the limit of its type before a byte of the body is kept.
 */
import { ChannelError } from "./errors.ts";

export const frameTypes = {
  hello: 1,
  identity: 2,
  evidence: 3,
  verdict: 4,
  alert: 5,
  open: 16,
  response: 17,
  error: 18,
  data: 19,
  end: 20,
  credit: 21,
  cancel: 22,
  ping: 23,
  pong: 24,
  challenge: 25,
  proof: 26,
  goAway: 27,
  close: 28,
} as const;

export const headerBytes = 5;

/** A frame in parts, ready for `Transport.send`. */
export function frame(type: number, ...body: readonly Uint8Array[]): readonly Uint8Array[] {
  let length = 1;
  for (const part of body) length += part.length;
  return [header(length, type), ...body];
}

function header(length: number, type: number): Uint8Array {
  return new Uint8Array([length >>> 24, length >>> 16, length >>> 8, length, type]);
}

/** A frame of one exchange: header and id in one buffer, so that a message is two parts. */
export function exchangeFrame(
  type: number,
  id: number,
  payload: Uint8Array | undefined,
): readonly Uint8Array[] {
  const length = 5 + (payload?.length ?? 0);
  const head = new Uint8Array([
    length >>> 24,
    length >>> 16,
    length >>> 8,
    length,
    type,
    id >>> 24,
    id >>> 16,
    id >>> 8,
    id,
  ]);
  return payload === undefined || payload.length === 0 ? [head] : [head, payload];
}

/** Largest body of a frame of this type. @throws ChannelError `protocol` for unknown types. */
export type BodyLimit = (type: number) => number;

/** As `concat`, without the zeros that would be overwritten at once: they cost as much as the copy. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const piece of pieces) length += piece.length;
  // Not of the pool: the buffer may be transferred to a worker, and must hold nothing else.
  const out = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer);
  let offset = 0;
  for (const piece of pieces) {
    out.set(piece, offset);
    offset += piece.length;
  }
  return out;
}

/** Cuts a byte stream into frames. Slices chunks; joins only what arrived in pieces. */
export class FrameParser {
  readonly #header = new Uint8Array(headerBytes);
  #headerFilled = 0;
  #type = 0;
  #missing = 0;
  #pieces: Uint8Array[] = [];

  /** Calls `emit` for each frame that is complete; `emit` returning false stops: rest is given back. */
  push(
    chunk: Uint8Array,
    limit: BodyLimit,
    emit: (type: number, body: Uint8Array) => boolean,
  ): Uint8Array | undefined {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#headerFilled < headerBytes) {
        this.#header[this.#headerFilled++] = chunk[offset++] as number;
        if (this.#headerFilled < headerBytes) continue;
        this.#readHeader(limit);
      }
      if (this.#missing > 0) {
        const piece = chunk.subarray(offset, offset + this.#missing);
        this.#pieces.push(piece);
        this.#missing -= piece.length;
        offset += piece.length;
        if (this.#missing > 0) continue;
      }
      const pieces = this.#pieces;
      const body = pieces.length === 1 ? (pieces[0] as Uint8Array) : joined(pieces);
      this.#pieces = [];
      this.#headerFilled = 0;
      if (!emit(this.#type, body))
        return offset < chunk.length ? chunk.subarray(offset) : undefined;
    }
    return undefined;
  }

  #readHeader(limit: BodyLimit): void {
    const [a, b, c, d, type] = this.#header as unknown as [number, number, number, number, number];
    const length = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
    if (length === 0) throw new ChannelError("protocol", "A frame has no type.");
    const most = limit(type);
    if (length - 1 > most) {
      throw new ChannelError(
        "limit-exceeded",
        `A frame of type ${type} has ${length - 1} bytes, over the limit of ${most}.`,
      );
    }
    this.#type = type;
    this.#missing = length - 1;
  }
}
