/** What crosses the wire of a call beside its payload: the opening and the error. */
import {
  CoreError,
  type DecodeLimits,
  decode,
  defaultDecodeLimits,
  type Encodable,
  type ErrorClass,
  encode,
  fromErrorRecord,
  VivariumError,
} from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import { maxErrorMessageBytes, maxMethodNameBytes } from "../limits.ts";

export interface Opening {
  readonly kind: "call" | "stream";
  readonly method: string;
  /** Milliseconds from now, or 0 for none. */
  readonly timeoutMs: number;
  /** The request, or a stream's parameters. */
  readonly value: Encodable;
}

export function encodeOpening(opening: Opening): Uint8Array {
  return encode([opening.kind, opening.method, opening.timeoutMs, opening.value]);
}

/** Bounds of a value between attested peers, `maxBytes` apart. */
export function valueLimits(maxBytes: number): DecodeLimits {
  return { ...defaultDecodeLimits, maxBytes, maxBinaryBytes: maxBytes, maxStringBytes: maxBytes };
}

/** @throws ChannelError `protocol`; CoreError for malformed bytes. */
export function decodeOpening(bytes: Uint8Array, maxBytes: number): Opening {
  const fields = decode(bytes, valueLimits(maxBytes));
  if (!Array.isArray(fields) || fields.length !== 4) throw malformed();
  const [kind, method, timeoutMs, value] = fields as readonly Encodable[];
  if (kind !== "call" && kind !== "stream") throw malformed();
  if (typeof method !== "string" || method.length > maxMethodNameBytes) throw malformed();
  if (typeof timeoutMs !== "number" || !Number.isSafeInteger(timeoutMs) || timeoutMs < 0) {
    throw malformed();
  }
  return { kind, method, timeoutMs, value: value ?? null };
}

function malformed(): ChannelError {
  return new ChannelError("protocol", "The opening of a call is malformed.");
}

/** Channel codes that a callee may report as its own. */
const wireCodes = ["timeout", "aborted", "limit-exceeded", "closed"] as const;

/**
 * Errors the method declares keep code and message; so do a few of ours. Anything else becomes
 * generic: a message of an internal error may quote the user's data.
 */
export function encodeError(thrown: unknown, declared: readonly ErrorClass[]): Uint8Array {
  if (thrown instanceof VivariumError) {
    const { domain, code, message } = thrown.toJSON();
    const known =
      declared.some((type) => type.domain === domain && type.codes.includes(code)) ||
      (thrown instanceof ChannelError && wireCodes.some((name) => name === code));
    if (known) return encode([domain, code, truncate(message)]);
  }
  return encode(["channel", "remote", ""]);
}

function truncate(message: string): string {
  // Characters, four bytes each at most; whole ones, for the codec refuses lone surrogates.
  const most = maxErrorMessageBytes / 4;
  return message.length <= most ? message : [...message].slice(0, most - 1).join("");
}

const errorLimits: DecodeLimits = {
  maxBytes: 2 * maxErrorMessageBytes,
  maxDepth: 1,
  maxArrayLength: 3,
  maxMapLength: 0,
  maxStringBytes: maxErrorMessageBytes,
  maxBinaryBytes: 0,
  maxValues: 4,
};

/** The error as the caller throws it: of a declared class, one of ours, or `remote`. */
export function decodeError(bytes: Uint8Array, declared: readonly ErrorClass[]): VivariumError {
  const fields = decode(bytes, errorLimits);
  const [domain, code, text] = Array.isArray(fields) ? (fields as readonly Encodable[]) : [];
  if (typeof domain !== "string" || typeof code !== "string" || typeof text !== "string") {
    throw new ChannelError("protocol", "The error of a call is malformed.");
  }
  // Goes to terminals and logs of this side: no control characters of the peer's choice.
  const message = text.replace(/\p{Cc}/gu, " ");
  const known = wireCodes.find((name) => domain === "channel" && name === code);
  if (known !== undefined) return new ChannelError(known, message);
  const rebuilt = fromErrorRecord({ domain, code, message }, declared);
  return rebuilt instanceof CoreError && rebuilt.code === "remote-failure"
    ? new ChannelError("remote", "The peer's handler failed.")
    : rebuilt;
}
