/**
 * The regression catalogue: faults that a predecessor really had, one named test each. Most rows are
 * proven at length beside the code; here they are held through public interfaces.
 */
import {
  type AppraisalInput,
  createAppraiser,
  type Evidence,
  fingerprint,
  type Policy,
  parsePolicy,
  tcbStatuses,
  type Verifier,
} from "@vivarium/attestation";
import { simulatedVerifier } from "@vivarium/attestation/simulated";
import { describe, expect, test } from "vitest";
import { attester, bob, clock, crypto, type Evil, measured, policyOf } from "./parties.ts";

/** Names of the rules that bob's evidence breaks; empty if he is accepted. */
async function appraise(
  evil: Evil = {},
  change: Partial<AppraisalInput> = {},
  verifier: Verifier = simulatedVerifier(),
): Promise<readonly string[]> {
  const reportData = new Uint8Array(64).fill(7);
  const appraisal = await createAppraiser({ verifiers: [verifier], crypto, clock }).appraise({
    evidence: await attester(evil).collect(reportData),
    collateral: {},
    policy: await policyOf(bob, "sender"),
    role: "sender",
    statement: bob.statement,
    identity: await fingerprint(crypto, bob.identity.publicKey),
    identityNotAfter: clock.now() + 3_600_000,
    reportData,
    binding: "session",
    ...change,
  });
  if (appraisal.accepted) return [];
  return appraisal.findings.filter(({ ok }) => !ok).map(({ rule }) => rule);
}

test("control: the genuine peer is accepted", async () => {
  expect(await appraise()).toEqual([]);
});

describe("policy", () => {
  const malformed: readonly (readonly [string, string, object])[] = [
    ["D1", "an SVN as text is no number", { minimumSvn: { svn: "3" } }],
    ["D1", "an SVN that is no whole number", { minimumSvn: { svn: 3.5 } }],
    ["D1", "a negative SVN", { minimumSvn: { svn: -1 } }],
    ["D2", "debug as text", { debug: "false" }],
    ["D2", "debug as a number", { debug: 0 }],
    ["D2", "an empty switch", { debug: "" }],
    ["D3", "no measurement at all", { measurements: {} }],
    ["D3", "no TCB state", { tcb: [] }],
    ["D3", "debug allowed", { debug: true }],
    ["ASPS", "an empty measurement", { measurements: { code: [""], runtime: ["00"] } }],
    ["HFL", "a switch that nobody defined", { verifyMrEnclave: "off" }],
  ];
  test.each(malformed)("%s: %s does not load", async (_row, _name, change) => {
    const policy = await policyOf(bob, "sender", change);
    expect(() => parsePolicy(policy)).toThrow(expect.objectContaining({ code: "invalid-policy" }));
    expect(await appraise({}, { policy })).not.toEqual([]);
  });

  test.each([undefined, null, "", {}, [], { version: 1, name: "x", roles: {} }])(
    "D10: a missing or empty policy (%j) refuses, and the next appraisal works",
    async (policy) => {
      expect(await appraise({}, { policy: policy as unknown as Policy })).not.toEqual([]);
      expect(await appraise()).toEqual([]);
    },
  );

  test("D1: SVN 3 of 3 is enough, 2 and 0 are not", async () => {
    expect(await appraise({ svn: 4 })).toEqual([]);
    for (const svn of [2, 0]) expect(await appraise({ svn })).toEqual(["svn.svn"]);
  });

  test.each(tcbStatuses)("D7: TCB state %s is accepted only where it is named", async (tcb) => {
    expect(await appraise({ tcb })).toEqual(tcb === "UpToDate" ? [] : ["tcb"]);
  });

  test("D8: two policies in one process do not touch each other", async () => {
    const lax = await policyOf(bob, "sender", { minimumSvn: { svn: 1 } });
    const strict = await policyOf(bob, "sender", { minimumSvn: { svn: 9 } });
    const both = await Promise.all([
      appraise({}, { policy: lax }),
      appraise({}, { policy: strict }),
    ]);
    expect(both).toEqual([[], ["svn.svn"]]);
    expect(await appraise({}, { policy: lax })).toEqual([]);
  });
});

describe("evidence", () => {
  test("D4: genuine evidence with another key or session is refused", async () => {
    const reportData = new Uint8Array(64).fill(8);
    expect(await appraise({}, { reportData })).toEqual(["report-data"]);
  });

  test.each(["code", "runtime", "flags", "policy", "config"] as const)(
    "D5, ASPS: %s is compared whole: a change of the last bit is refused",
    async (field) => {
      const other = Uint8Array.from(measured[field]);
      other[31] = (other[31] as number) ^ 1;
      const rules = await appraise({ measured: { ...measured, [field]: other } });
      expect(rules.join()).toContain(field);
    },
  );

  test("D9: evidence of a development root that the policy does not name is refused", async () => {
    const strangers = await crypto.generateSigner("ES256");
    expect(await appraise({ root: strangers })).toEqual(["root"]);
    expect(await appraise({ debug: true })).toContain("debug");
  });

  test.each([1, true, undefined, null, "ok", {}])(
    "D14: a verifier that answers %j has not accepted",
    async (answer) => {
      const verifier = {
        ...simulatedVerifier(),
        verify: async () => answer,
      } as unknown as Verifier;
      expect(await appraise({}, {}, verifier)).not.toEqual([]);
    },
  );

  test("ASPS: one piece of garbage refuses one request and leaves the appraiser up", async () => {
    const evidence = { type: "simulated", data: new Uint8Array(3) } as unknown as Evidence;
    expect(await appraise({}, { evidence })).not.toEqual([]);
    expect(await appraise()).toEqual([]);
  });
});
