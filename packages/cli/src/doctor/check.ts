/** What one look at the machine has found. */

/** `info` is neither good nor bad, `warn` works with less, `fail` does not work. */
export type CheckStatus = "ok" | "info" | "warn" | "fail";

export interface Check {
  /** Stable name: `node`, `engine.curve25519`, `device.tdx`, … */
  readonly name: string;
  readonly status: CheckStatus;
  readonly found: string;
  /** What falls back, why, or what to do; empty if there is nothing to say. */
  readonly detail: string;
}

export function check(name: string, status: CheckStatus, found: string, detail = ""): Check {
  return { name, status, found, detail };
}
