/** Reference sets: their form, what a known-good run gives, and the policies made of them. */
import { toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { AttestationError, checkPolicy, parsePolicy, type VerifiedEvidence } from "../src/index.ts";
import {
  checkReferences,
  encodeReferences,
  parseReferences,
  policyRecordOf,
  type ReferenceRecord,
  referenceLimits,
  referenceOf,
} from "../src/reference/index.ts";
import { everyVerifier } from "../src/verifiers/index.ts";
import { hardwareSubjects } from "./synthetic/subjects.ts";

const crypto = nodeCrypto();
const at = "2026-06-01T00:00:00.000Z";
const origin = { how: "computed", at, sources: [] } as const;
const record: ReferenceRecord = {
  name: "web 1.2",
  type: "snp",
  measurements: { measurement: ["ab".repeat(48)] },
  minimumSvn: { reported_tcb_snp: 24 },
  origin,
};

function codeOf(work: () => unknown): string {
  try {
    work();
    return "accepted";
  } catch (error) {
    return error instanceof AttestationError ? error.code : `other: ${String(error)}`;
  }
}

describe("reference sets", () => {
  test("are read back as they were written", () => {
    const whole = {
      ...record,
      allow: ["snp.vmpl"],
      root: `sha256:${"0".repeat(64)}`,
      notAfter: at,
    };
    expect(parseReferences(encodeReferences([record, whole])).references).toEqual([record, whole]);
  });

  test.each([
    ["another version", { version: 2, references: [record] }],
    ["nothing in them", { version: 1, references: [] }],
    ["an unknown field", { version: 1, references: [{ ...record, note: "x" }] }],
    ["no measurement", { version: 1, references: [{ ...record, measurements: {} }] }],
    ["a short digest", one({ measurements: { measurement: ["ab"] } })],
    ["a digest in capitals", one({ measurements: { measurement: ["AB".repeat(48)] } })],
    ["a negative SVN", one({ minimumSvn: { reported_tcb_snp: -1 } })],
    ["an unknown type", one({ type: "sgx2" })],
    ["an impossible time", one({ notAfter: "2026-13-41T00:00:00Z" })],
    ["no origin", one({ origin: undefined })],
    ["a pattern as a relaxation", one({ allow: ["snp.*"] })],
    ["no object", [record]],
  ])("with %s are refused", (_name, document) => {
    expect(codeOf(() => checkReferences(JSON.parse(JSON.stringify(document))))).toBe("malformed");
  });

  test("that are no text, no JSON or too large are refused", () => {
    for (const bytes of [
      Uint8Array.of(0xff),
      utf8("{"),
      new Uint8Array(referenceLimits.bytes + 1).fill(0x20),
    ]) {
      expect(codeOf(() => parseReferences(bytes))).toBe("malformed");
    }
  });

  function one(change: object): object {
    return { version: 1, references: [{ ...record, ...change }] };
  }
});

describe("a known-good run", () => {
  const verified: VerifiedEvidence = {
    type: "snp",
    claims: {},
    measurements: {
      measurement: new Uint8Array(48).fill(7),
      host_data: new Uint8Array(32),
      chip_id: new Uint8Array(64).fill(1),
    },
    svn: { reported_tcb_snp: 24 },
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: [],
    attributes: {},
    debug: false,
    reportData: new Uint8Array(64),
    issuedAt: undefined,
    notAfter: 0,
    isolation: "tee",
    binding: "session",
    root: `sha256:${"1".repeat(64)}`,
    findings: [],
  };
  const relaxation = { name: "snp.vmpl", expected: "0", actual: "1" };

  test("gives the code's measurement and the least SVNs, not the chip", () => {
    expect(referenceOf(verified, { name: "x", origin })).toEqual({
      ...{ name: "x", type: "snp", origin },
      measurements: { measurement: [toHex(new Uint8Array(48).fill(7))] },
      minimumSvn: { reported_tcb_snp: 24 },
    });
  });

  test("pins what it is told to, zeros too, and nothing that is not there", () => {
    const pinned = referenceOf(verified, { name: "x", pins: ["host_data"], origin });
    expect(pinned.measurements).toEqual({ host_data: ["00".repeat(32)] });
    const absent = () => referenceOf(verified, { name: "x", pins: ["rtmr_0"], origin });
    expect(codeOf(absent)).toBe("malformed");
    const nothing = { ...verified, measurements: { measurement: new Uint8Array(48) } };
    expect(codeOf(() => referenceOf(nothing, { name: "x", origin }))).toBe("malformed");
  });

  test.each([
    ["a debugger", { debug: true }, []],
    ["an old TCB", { tcb: { status: "OutOfDate", advisories: [] } }, []],
    ["a relaxation", { relaxations: [relaxation] }, []],
    ["another relaxation", { relaxations: [relaxation] }, ["snp.crl-absent"]],
  ] as const)("with %s is none", (_name, change, allow) => {
    const bad = { ...verified, ...change };
    expect(codeOf(() => referenceOf(bad, { name: "x", allow, origin }))).toBe("refused-by-policy");
  });

  test("keeps a relaxation that it was allowed", () => {
    const run = { ...verified, relaxations: [relaxation, relaxation] };
    const options = { name: "x", allow: ["snp.vmpl", "snp.crl-absent"], origin };
    expect(referenceOf(run, options).allow).toEqual(["snp.vmpl"]);
  });

  test.each(hardwareSubjects)("of $name makes a policy that can be applied", async ({ make }) => {
    const subject = await make(crypto);
    const evidence = await (await subject.attester()).collect(subject.binding);
    const { now, collateral } = subject;
    const seen = await subject.verifier.verify(evidence, { crypto, now, collateral });
    const allow = seen.relaxations.map(({ name }) => name);
    const reference = referenceOf(seen, { name: "run", allow, origin });
    expect(parseReferences(encodeReferences([reference])).references).toEqual([reference]);
    const accept = [policyRecordOf(reference, { now, maxAgeSeconds: 600 })];
    const identities = [`sha256:${"2".repeat(64)}`];
    const policy = parsePolicy({
      version: 1,
      name: "x",
      roles: { sender: { identities, accept } },
    });
    checkPolicy(policy, everyVerifier());
  });
});

test("a reference past its time makes no policy", () => {
  const ended = { ...record, notAfter: at };
  const options = { now: Date.parse(at), maxAgeSeconds: 600 };
  expect(codeOf(() => policyRecordOf(ended, options))).toBe("expired");
  expect(codeOf(() => policyRecordOf(ended, { ...options, now: options.now - 1 }))).toBe(
    "accepted",
  );
});
