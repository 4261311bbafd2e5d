/** An attester without hardware, for development and tests. It proves what its root says, no more. */
import { type Clock, type Crypto, type Signer, throwIfAborted } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Attester, TcbStatus } from "../evidence.ts";
import { reportDataFor } from "../report-data.ts";
import type { StatementDigest } from "../statement.ts";
import { signToken, simulatedLifetimeSeconds } from "./token.ts";

export interface SimulatedAttesterOptions {
  /** The development root. Whoever holds it can attest to anything. */
  readonly root: Signer;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** SHA-256 digests of what was launched. */
  readonly measured: Readonly<Record<StatementDigest, Uint8Array>>;
  /** Says that a debugger may look in; default false. */
  readonly debug?: boolean;
  /** Default `UpToDate`. */
  readonly tcb?: TcbStatus;
  /** Default 1. */
  readonly svn?: number;
}

/** Makes evidence of type `simulated`. */
export function simulatedAttester(options: SimulatedAttesterOptions): Attester {
  const { root, crypto, clock, measured, debug = false, tcb = "UpToDate", svn = 1 } = options;
  for (const [name, digest] of Object.entries(measured)) {
    if (digest.length !== 32) {
      throw new AttestationError("malformed", `Measurement ${name} is not a SHA-256 digest.`);
    }
  }
  return {
    type: "simulated",
    async collect(reportData, { signal } = {}) {
      throwIfAborted(signal);
      const issuedAt = Math.floor(clock.now() / 1000);
      const bytes = await signToken(root, {
        reportData: await reportDataFor(crypto, "simulated", reportData),
        issuedAt,
        expiresAt: issuedAt + simulatedLifetimeSeconds,
        debug,
        measured,
        svn,
        tcb,
      });
      throwIfAborted(signal);
      return { type: "simulated", bytes, attachments: {} };
    },
  };
}
