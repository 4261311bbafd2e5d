/** What the launcher says of a process: evidence, delegation, renewal. */
import {
  createAppraiser,
  decodeEvidence,
  encodeEvidence,
  fingerprint,
  verifyDelegation,
} from "@vivarium/attestation";
import { simulatedVerifier } from "@vivarium/attestation/simulated";
import { type Clock, systemClock, toHex } from "@vivarium/core";
import type { Bundle } from "@vivarium/workers/bundle";
import { beforeAll, describe, expect, test } from "vitest";
import { buildFixture, crypto, type Keys, makeKeys, policyFor, start } from "./support.ts";

let bundle: Bundle;
let keys: Keys;
const timeout = 60_000;

beforeAll(async () => {
  bundle = await buildFixture();
  keys = await makeKeys();
}, timeout);

describe("evidence and delegation through the launcher", () => {
  test(
    "the appraiser accepts what the launcher measured, and only that",
    async () => {
      const { worker } = await start(bundle.directory, keys, { action: "evidence" });
      const result = (await worker.result) as { bytes: Uint8Array; delegation: Uint8Array };
      const now = Date.now();
      const delegation = await verifyDelegation(crypto, result.delegation, now);
      expect(delegation.fingerprint).toBe(await fingerprint(crypto, keys.identity.publicKey));
      expect(toHex(delegation.worker)).toBe(toHex(worker.statement.keys.signing));
      expect(toHex(delegation.code)).toBe(bundle.digest);

      const evidence = decodeEvidence(
        encodeEvidence({ type: "simulated", bytes: result.bytes, attachments: {} }),
      );
      const appraise = async (code: string, statement = worker.statement) =>
        createAppraiser({
          verifiers: [simulatedVerifier()],
          crypto,
          clock: systemClock(),
        }).appraise({
          evidence,
          collateral: {},
          policy: await policyFor(keys, { code, runtime: toHex(worker.statement.runtime) }),
          role: "subject",
          statement,
          identity: delegation.fingerprint,
          identityNotAfter: delegation.notAfter,
          reportData: new Uint8Array(64).fill(7),
          binding: "session",
        });
      expect((await appraise(bundle.digest)).accepted).toBe(true);
      expect((await appraise("11".repeat(32))).accepted).toBe(false);
      // A process that claims another code in its statement has no evidence for it.
      const lie = { ...worker.statement, code: new Uint8Array(32).fill(0x11) };
      expect((await appraise(bundle.digest, lie)).accepted).toBe(false);
      expect((await appraise("11".repeat(32), lie)).accepted).toBe(false);
    },
    timeout,
  );

  test(
    "the delegation is renewed in-band, for the same key",
    async () => {
      const delegationMs = 60_000;
      const system = systemClock();
      // Half of the delegation's life passes at once; the wall clock moves with it.
      let moved = 0;
      const clock: Clock = {
        now: () => system.now() + moved,
        monotonic: () => system.monotonic(),
        after: (ms, run) =>
          ms === delegationMs / 2 && moved === 0
            ? system.after(50, () => {
                moved = ms;
                run();
              })
            : system.after(ms, run),
      };
      const options = { clock, delegationMs };
      const { worker } = await start(bundle.directory, keys, { action: "renewal" }, options);
      const result = (await worker.result) as { first: Uint8Array; second: Uint8Array };
      const first = await verifyDelegation(crypto, result.first, Date.now());
      const second = await verifyDelegation(crypto, result.second, Date.now() + moved);
      expect(second.notAfter).toBeGreaterThan(first.notAfter);
      expect(toHex(second.worker)).toBe(toHex(worker.statement.keys.signing));
      expect(second.fingerprint).toBe(first.fingerprint);
    },
    timeout,
  );

  test(
    "a process that floods its launcher with requests is killed",
    async () => {
      const { worker } = await start(bundle.directory, keys, { action: "evidence-flood" });
      await expect(worker.result).rejects.toMatchObject({ code: "protocol" });
    },
    timeout,
  );
});
