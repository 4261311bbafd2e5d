/** A genuine peer and a policy that accepts it, for the tests of what is refused. */
import { type Crypto, type ManualClock, manualClock, type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import {
  type Appraisal,
  type AppraisalInput,
  type AppraiserOptions,
  AttestationError,
  type AttestationErrorCode,
  type AttestationResult,
  createAppraiser,
  fingerprint,
  type Policy,
  type PolicyRecord,
  parsePolicy,
} from "../src/index.ts";
import { simulatedAttester, simulatedVerifier } from "../src/simulated/index.ts";
import { measured, now, statementFor } from "./simulated-subject.ts";

export interface Fixture {
  readonly crypto: Crypto;
  readonly clock: ManualClock;
  readonly root: Signer;
  readonly worker: Signer;
  readonly record: PolicyRecord;
  readonly input: AppraisalInput;
  policy(changes?: Partial<PolicyRecord>): Policy;
  appraise(
    changes?: Partial<AppraisalInput>,
    options?: Partial<AppraiserOptions>,
  ): Promise<Appraisal>;
  result(): Promise<AttestationResult>;
}

export const binding: Uint8Array = Uint8Array.from({ length: 64 }, (_, i) => 200 - i);

export async function fixture(): Promise<Fixture> {
  const crypto = nodeCrypto();
  const clock = manualClock(now);
  const root = await crypto.generateSigner("ES256");
  const worker = await crypto.generateSigner("ES256");
  const identity = await fingerprint(crypto, (await crypto.generateSigner("ES256")).publicKey);
  const record: PolicyRecord = {
    type: "simulated",
    isolation: "simulated",
    binding: "session",
    root: await fingerprint(crypto, root.publicKey),
    measurements: { code: [toHex(measured.code)], runtime: [toHex(measured.runtime)] },
    minimumSvn: { svn: 1 },
    tcb: ["UpToDate"],
    debug: false,
    maxAgeSeconds: 600,
  };
  const policy = (changes: Partial<PolicyRecord> = {}): Policy =>
    parsePolicy({
      version: 1,
      name: "fixture",
      roles: { sender: { identities: [identity], accept: [{ ...record, ...changes }] } },
    });
  const attester = simulatedAttester({ root, crypto, clock, measured });
  const input: AppraisalInput = {
    evidence: await attester.collect(binding),
    collateral: {},
    policy: policy(),
    role: "sender",
    statement: statementFor(worker),
    identity,
    identityNotAfter: now + 3_600_000,
    reportData: binding,
    binding: "session",
  };
  const appraise: Fixture["appraise"] = (changes = {}, options = {}) =>
    createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock, ...options }).appraise({
      ...input,
      ...changes,
    });
  return {
    crypto,
    clock,
    root,
    worker,
    record,
    input,
    policy,
    appraise,
    async result() {
      const appraisal = await appraise();
      if (!appraisal.accepted) throw appraisal.error;
      return appraisal.result;
    },
  };
}

export function failedRules(appraisal: Appraisal): string[] {
  return appraisal.findings.filter(({ ok }) => !ok).map(({ rule }) => rule);
}

/** The code of the AttestationError that a promise is rejected with; "" if it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<AttestationErrorCode | ""> {
  try {
    await promise;
    return "";
  } catch (error) {
    if (error instanceof AttestationError) return error.code;
    throw error;
  }
}

export function* flips(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) {
    const copy = new Uint8Array(bytes);
    copy[i] = (copy[i] as number) ^ (1 << (i % 8));
    yield copy;
  }
}
