/** The simulated verifier as a subject of the contract. Runs in Node and in browsers. */
import { type Crypto, manualClock, type Signer } from "@vivarium/core";
import type { Statement, StatementDigest } from "../src/index.ts";
import { simulatedAttester, simulatedVerifier } from "../src/simulated/index.ts";
import type { ContractSubject } from "./verifier-contract.ts";

export const now: number = Date.UTC(2026, 10, 24, 12);

export const digestOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

export const measured: Readonly<Record<StatementDigest, Uint8Array>> = {
  code: digestOf(1),
  runtime: digestOf(2),
  flags: digestOf(3),
  policy: digestOf(4),
  config: digestOf(5),
};

/** A statement whose signing key is a real one, so that passports can be proven. */
export function statementFor(worker: Signer): Statement {
  return {
    ...measured,
    keys: {
      tls: worker.publicKey,
      signing: worker.publicKey,
      hpke: digestOf(9),
      receipt: worker.publicKey,
    },
  };
}

export async function simulatedSubject(
  crypto: Crypto,
  algorithm: "ES256" | "EdDSA" = "ES256",
): Promise<ContractSubject> {
  const root = await crypto.generateSigner(algorithm);
  const worker = await crypto.generateSigner("ES256");
  const clock = manualClock(now);
  return {
    verifier: simulatedVerifier(),
    crypto,
    now,
    collateral: {},
    statement: statementFor(worker),
    binding: Uint8Array.from({ length: 64 }, (_, i) => i * 3 + 1),
    attester: async ({ debug } = { debug: false }) =>
      simulatedAttester({ root, crypto, clock, measured, debug }),
  };
}
