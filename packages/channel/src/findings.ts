/** Why a peer was refused, for the operator's log only. */

import { ChannelError } from "./errors.ts";
import type { EndpointOptions } from "./options.ts";

/** Every failed rule to the local log; the peer learns none of it. */
export function logFindings(
  { log }: Pick<EndpointOptions, "log">,
  channel: string,
  error: unknown,
): void {
  if (!(error instanceof ChannelError)) return;
  for (const { rule, ok, expected, actual } of error.findings) {
    if (!ok) log.event("warn", "channel.finding", { channel, rule, expected, actual });
  }
}
