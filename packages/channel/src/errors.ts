/** Errors of this package. */
import type { Finding } from "@vivarium/attestation";
import { type ErrorClass, VivariumError } from "@vivarium/core";

export const channelErrorCodes = [
  /** We refused the peer; the findings (local only) say why. */
  "refused",
  /** The peer refused us, and by design does not say why: ask its operator for its log. */
  "peer-refused",
  /** The peer's bytes do not follow the protocol. */
  "protocol",
  /** A length, count or rate is over its named limit. */
  "limit-exceeded",
  /** A deadline passed, or the peer fell silent. */
  "timeout",
  /** The channel has been closed by one of its ends. */
  "closed",
  /** There is no connection, or it broke. */
  "connection-failed",
  /** The attestation result of the peer has expired. */
  "expired",
  /** The peer's identity, measurement or TCB level has been revoked. */
  "revoked",
  /** The caller cancelled. */
  "aborted",
  /** The peer's handler failed with an error that its method does not declare. */
  "remote",
  /** An unattested peer was met where an attested one is needed. */
  "not-attested",
] as const;
export type ChannelErrorCode = (typeof channelErrorCodes)[number];

export class ChannelError extends VivariumError<ChannelErrorCode> {
  override readonly name = "ChannelError";
  readonly domain = "channel";
  /** Why we refused, rule by rule. Never sent to the peer, which would learn what to forge. */
  readonly findings: readonly Finding[];

  constructor(
    code: ChannelErrorCode,
    message: string,
    options: { readonly cause?: unknown; readonly findings?: readonly Finding[] } = {},
  ) {
    super(code, message, options);
    this.findings = options.findings ?? [];
  }
}

/** How to rebuild a {@link ChannelError} behind a thread. */
export const channelErrorClass: ErrorClass = {
  domain: "channel",
  codes: channelErrorCodes,
  create: (code, message) => new ChannelError(code as ChannelErrorCode, message),
};

/** A refusal by one rule. */
export function refusal(
  rule: string,
  expected: string,
  actual: string,
  cause?: unknown,
): ChannelError {
  const finding: Finding = { rule, ok: false, expected, actual };
  return new ChannelError(
    "refused",
    `The peer was refused by rule ${rule}: expected ${expected}, got ${actual}.`,
    { findings: [finding], ...(cause === undefined ? {} : { cause }) },
  );
}
