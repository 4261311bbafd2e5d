/** Appraisals: what a refusal says, and that nothing but a verifier's full answer is acceptance. */
import { manualClock } from "@vivarium/core";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import {
  AttestationResult,
  explainFindings,
  type Policy,
  type Revocations,
  type VerifiedEvidence,
  type Verifier,
} from "../src/index.ts";
import { simulatedAttester, simulatedVerifier } from "../src/simulated/index.ts";
import { binding, type Fixture, failedRules, fixture } from "./fixture.ts";
import { digestOf, measured, now } from "./simulated-subject.ts";

let f: Fixture;
beforeAll(async () => {
  f = await fixture();
});

test("accepts, and lists every rule that passed", async () => {
  const appraisal = await f.appraise();
  expect(failedRules(appraisal)).toEqual([]);
  expect(appraisal.accepted).toBe(true);
  const rules = appraisal.findings.map(({ rule }) => rule);
  for (const rule of ["genuine", "root", "measurement.code", "statement.config", "report-data"]) {
    expect(rules).toContain(rule);
  }
  for (const rule of ["svn.svn", "tcb", "debug", "isolation", "binding", "age.not-after"]) {
    expect(rules).toContain(rule);
  }
  expect(rules).toContain("identity");
  expect(rules).toContain("revocation");
});

test("a result ends with the first of its ends", async () => {
  const result = await f.result();
  expect(result.expiresAt).toBe(now + 600_000);
  const short = await f.appraise({ identityNotAfter: now + 5_000 });
  expect(short.accepted && short.result.expiresAt).toBe(now + 5_000);
});

test("a result is checked at each use, and cannot be copied", async () => {
  const result = await f.result();
  AttestationResult.requireValid(result, f.clock);
  expect(() => AttestationResult.requireValid(result, manualClock(result.expiresAt))).toThrow(
    "expired",
  );
  for (const fake of [{ ...result }, structuredClone(result), true, 1, null, undefined]) {
    expect(() => AttestationResult.requireValid(fake, f.clock)).toThrow("result of a verifier");
  }
});

describe("statement: what was measured must be what is said", () => {
  test.each(["code", "runtime", "flags", "policy", "config"] as const)("%s", async (name) => {
    const statement = { ...f.input.statement, [name]: digestOf(77) };
    expect(failedRules(await f.appraise({ statement }))).toEqual([`statement.${name}`]);
  });
});

describe("refused", () => {
  test("another identity", async () => {
    const identity = `sha256:${"00".repeat(32)}`;
    expect(failedRules(await f.appraise({ identity }))).toEqual(["identity"]);
    expect(failedRules(await f.appraise({ identity: "" }))).toEqual(["identity"]);
  });
  test("an ended delegation", async () => {
    for (const identityNotAfter of [now, now - 1, Number.NaN]) {
      const appraisal = await f.appraise({ identityNotAfter });
      expect(failedRules(appraisal)).toEqual(["age.identity"]);
      expect(appraisal.accepted || appraisal.error.code).toBe("expired");
    }
  });
  test("a role the policy does not know, inherited names included", async () => {
    for (const role of ["receiver", "", "__proto__", "constructor"]) {
      expect(failedRules(await f.appraise({ role }))).toEqual(["role"]);
    }
  });
  test("a binding that is not the session's", async () => {
    expect(failedRules(await f.appraise({ binding: "key-only" }))).toEqual(["binding"]);
    expect(failedRules(await f.appraise({ binding: "launch-secret" }))).toEqual([
      "binding",
      "binding.evidence",
    ]);
  });
  test("old evidence, and evidence from the future", async () => {
    const at = async (time: number): Promise<string[]> => {
      const attester = simulatedAttester({ ...f, clock: manualClock(time), measured });
      return failedRules(await f.appraise({ evidence: await attester.collect(binding) }));
    };
    expect(await at(now - 601_000)).toEqual(["age.issued-at"]);
    expect(await at(now - 599_000)).toEqual([]);
    expect(await at(now + 59_000)).toEqual([]);
    expect(await at(now + 3_600_000)).toEqual(["simulated.iat"]);
    expect(await at(now - 90_000_000)).toEqual(["simulated.exp"]);
  });
  test("a low SVN and a bad TCB state", async () => {
    const attester = simulatedAttester({ ...f, measured, svn: 0, tcb: "Revoked" });
    const evidence = await attester.collect(binding);
    expect(failedRules(await f.appraise({ evidence }))).toEqual(["svn.svn", "tcb"]);
  });
  test("simulated evidence of another root (D9)", async () => {
    const root = await f.crypto.generateSigner("ES256");
    const evidence = await simulatedAttester({ ...f, root, measured }).collect(binding);
    expect(failedRules(await f.appraise({ evidence }))).toEqual(["root"]);
  });
  test("simulated evidence without its verifier, or under a policy for hardware", async () => {
    expect((await f.appraise({}, { verifiers: [] })).accepted).toBe(false);
    const policy = f.policy({ type: "snp", isolation: "tee" });
    const snp: Verifier = { ...simulatedVerifier(), type: "snp" };
    const verifiers = [simulatedVerifier(), snp];
    expect(failedRules(await f.appraise({ policy }, { verifiers }))).toEqual(["type"]);
    // Relabelled as hardware, it meets a verifier that answers for another type.
    const evidence = { ...f.input.evidence, type: "snp" } as const;
    const lying: Verifier = {
      ...snp,
      verify: (e, c) => simulatedVerifier().verify({ ...e, type: "simulated" }, c),
    };
    expect((await f.appraise({ evidence, policy }, { verifiers: [lying] })).accepted).toBe(false);
  });
  test("a policy that was never parsed and is no policy", async () => {
    for (const policy of [undefined, {}, { roles: {} }, true]) {
      const appraisal = await f.appraise({ policy: policy as unknown as Policy });
      expect(appraisal.accepted || appraisal.error.code).toBe("invalid-policy");
    }
    // D10: the next appraisal still works.
    expect((await f.appraise()).accepted).toBe(true);
  });
});

describe("a verifier's answer that is not acceptance (D14)", () => {
  const genuine = async (): Promise<VerifiedEvidence> =>
    await simulatedVerifier().verify(f.input.evidence, { crypto: f.crypto, now, collateral: {} });
  const answering = (answer: unknown): Promise<boolean> =>
    f
      .appraise(
        {},
        { verifiers: [{ ...simulatedVerifier(), verify: async () => answer as VerifiedEvidence }] },
      )
      .then(({ accepted }) => accepted);

  test.each([undefined, null, true, 1, -1, 0, "ok", [], {}, () => true])("%s", async (answer) => {
    expect(await answering(answer)).toBe(false);
  });
  test("any one field missing or of another kind", async () => {
    const good = await genuine();
    expect(await answering(good)).toBe(true);
    for (const name of Object.keys(good)) {
      if (name !== "issuedAt") {
        expect(await answering({ ...good, [name]: undefined }), name).toBe(false);
      }
      expect(await answering({ ...good, [name]: true }), name).toBe(false);
    }
  });
  test("a failed or truthy finding", async () => {
    const good = await genuine();
    const [first] = good.findings;
    for (const ok of [false, 1, "yes", undefined]) {
      expect(await answering({ ...good, findings: [{ ...first, ok }] })).toBe(false);
    }
  });
  test("report data with anything before or behind it", async () => {
    const good = await genuine();
    for (const length of [0, 32, 63, 65, 128]) {
      const reportData = new Uint8Array(length);
      reportData.set(binding.subarray(0, length));
      expect(await answering({ ...good, reportData })).toBe(false);
    }
  });
  test("thrown, of whatever kind", async () => {
    for (const thrown of [new Error("x"), "x", undefined]) {
      const verify = async (): Promise<VerifiedEvidence> => {
        throw thrown;
      };
      const appraisal = await f.appraise({}, { verifiers: [{ ...simulatedVerifier(), verify }] });
      expect(appraisal.accepted || appraisal.error.code).toBe("not-genuine");
    }
  });
});

test("revocation refuses, also when the registry fails", async () => {
  const revocations = (check: Revocations["check"]): Revocations => ({
    check,
    onChange: () => () => {},
  });
  const finding = { rule: "revocation", ok: true, expected: "", actual: "" };
  const revoked = await f.appraise({}, { revocations: revocations(() => finding) });
  expect(failedRules(revoked)).toEqual(["revocation"]);
  const broken = revocations(() => {
    throw new Error("disk");
  });
  expect((await f.appraise({}, { revocations: broken })).accepted).toBe(false);
});

test("two policies coexist (D8): of many records one must be satisfied as a whole", async () => {
  const other = "00".repeat(32);
  const [code, runtime] = [
    f.record.measurements["code"] ?? [],
    f.record.measurements["runtime"] ?? [],
  ];
  const split = {
    ...f.input.policy,
    roles: {
      sender: {
        identities: [f.input.identity],
        accept: [
          { ...f.record, measurements: { code, runtime: [other] } },
          { ...f.record, measurements: { code: [other], runtime } },
        ],
      },
    },
  };
  // Each value is allowed somewhere, but never together.
  expect((await f.appraise({ policy: split })).accepted).toBe(false);
  const sender = { ...split.roles.sender, accept: [...split.roles.sender.accept, f.record] };
  const both = await f.appraise({ policy: { ...split, roles: { sender } } });
  expect(both.accepted && both.findings.every(({ record }) => record === 2)).toBe(true);
});

test("random subsets of a policy never widen acceptance (T33)", async () => {
  const other = "00".repeat(32);
  const values = [...(f.record.measurements["code"] ?? []), other];
  const subset = <T>(of: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...of], { minLength: 1 });
  const record = fc.record({
    code: subset(values),
    runtime: subset([...(f.record.measurements["runtime"] ?? []), other]),
    tcb: subset(["UpToDate", "OutOfDate"] as const),
    svn: fc.nat(2),
  });
  const policyOf = (
    records: readonly { code: string[]; runtime: string[]; tcb: string[]; svn: number }[],
  ): Policy =>
    ({
      version: 1,
      name: "p",
      roles: {
        sender: {
          identities: [f.input.identity],
          accept: records.map(({ code, runtime, tcb, svn }) => ({
            ...f.record,
            measurements: { code, runtime },
            tcb,
            minimumSvn: { svn },
          })),
        },
      },
    }) as unknown as Policy;
  const pair = fc.array(record, { minLength: 1, maxLength: 3 }).chain((wide) =>
    fc.tuple(
      fc.constant(wide),
      fc.tuple(
        ...wide.map((r) =>
          fc.record({
            code: subset(r.code),
            runtime: subset(r.runtime),
            tcb: subset(r.tcb),
            svn: fc.integer({ min: r.svn, max: 3 }),
            keep: fc.boolean(),
          }),
        ),
      ),
    ),
  );
  await fc.assert(
    fc.asyncProperty(pair, async ([wide, all]) => {
      const kept = all.filter(({ keep }) => keep);
      const narrow = kept.length > 0 ? kept : all;
      const [a, b] = [
        await f.appraise({ policy: policyOf(wide) }),
        await f.appraise({ policy: policyOf(narrow) }),
      ];
      expect(b.accepted && !a.accepted).toBe(false);
      // The oracle: acceptance is exactly one record with everything in it.
      const genuine = (r: (typeof wide)[number]): boolean =>
        r.code.some((v) => v !== other) &&
        r.runtime.some((v) => v !== other) &&
        r.tcb.includes("UpToDate") &&
        r.svn <= 1;
      expect(a.accepted).toBe(wide.some(genuine));
    }),
    { numRuns: 60 },
  );
});

test("explain puts what failed first, and lets no control character through", async () => {
  const appraisal = await f.appraise({ identity: "\u001b[2Jevil\n" });
  const lines = explainFindings(appraisal.findings);
  expect(lines[0]).toMatch(/^FAILED identity \[record 0\]: expected sha256:.*; actual /);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested.
  expect(lines.join("")).not.toMatch(/[\u0000-\u001f]/);
});
