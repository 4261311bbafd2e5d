/** The policy that demands one party, one development root and one measured code. */
import { type Crypto, toHex } from "@vivarium/core";
import { fingerprint } from "../identity.ts";
import type { Policy } from "../policy.ts";
import { parsePolicy } from "../policy-parse.ts";

export interface SimulatedPolicyOptions {
  readonly crypto: Crypto;
  /** What the peer acts as. */
  readonly role: string;
  /** Long-term identity of the peer, SubjectPublicKeyInfo DER. */
  readonly identity: Uint8Array;
  /** Development root that signs the peer's evidence, SubjectPublicKeyInfo DER. */
  readonly root: Uint8Array;
  /** What it must measure, 32 bytes each. */
  readonly measurements: {
    readonly code: Uint8Array;
    readonly runtime: Uint8Array;
    readonly flags: Uint8Array;
  };
  /** How long a result lives, 10 to 86,400. Default 3,600. */
  readonly maxAgeSeconds?: number;
}

/** For development and examples: simulated evidence isolates nothing. */
export async function simulatedPolicy(options: SimulatedPolicyOptions): Promise<Policy> {
  const { crypto, role, measurements, maxAgeSeconds = 3_600 } = options;
  return parsePolicy({
    version: 1,
    name: `simulated ${role}`,
    roles: {
      [role]: {
        identities: [await fingerprint(crypto, options.identity)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, options.root),
            measurements: {
              code: [toHex(measurements.code)],
              runtime: [toHex(measurements.runtime)],
              flags: [toHex(measurements.flags)],
            },
            minimumSvn: {},
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds,
          },
        ],
      },
    },
  });
}
