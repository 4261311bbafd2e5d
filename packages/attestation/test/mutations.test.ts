/** Signed documents with any one byte changed, and what else must not verify. */
import {
  fromBase64Url,
  fromUtf8,
  labels,
  lengthPrefixed,
  toBase64Url,
  toHex,
  utf8,
} from "@vivarium/core";
import { beforeAll, describe, expect, test } from "vitest";
import {
  acceptEar,
  createDelegation,
  createRevocations,
  decodeEvidence,
  decodeStatement,
  type EarExpectations,
  encodeEvidence,
  encodeStatement,
  fingerprint,
  issueEar,
  maxDelegationMs,
  provePassport,
  type RevocationList,
  reportDataFor,
  signRevocationList,
  verifyDelegation,
} from "../src/index.ts";
import { binding, codeOf, type Fixture, fixture, flips } from "./fixture.ts";
import { digestOf, now } from "./simulated-subject.ts";

let f: Fixture;
beforeAll(async () => {
  f = await fixture();
});

describe("evidence envelope and statement", () => {
  test("round trip; anything else than the canonical bytes is refused", () => {
    const bytes = encodeEvidence(f.input.evidence);
    expect(decodeEvidence(bytes)).toEqual(f.input.evidence);
    const statement = encodeStatement(f.input.statement);
    expect(decodeStatement(statement)).toEqual(f.input.statement);
    expect(() => decodeStatement(new Uint8Array([...statement, 0]))).toThrow("after its end");
    expect(() => decodeStatement(statement.subarray(0, -1))).toThrow("truncated");
  });
  test.each([
    ["indefinite length", "bf6161f6ff"],
    ["duplicate keys", "a3656279746573410164747970656374706d6474797065636e6974"],
    ["a tag", "c100"],
    ["a float", "f93c00"],
    ["undefined", "f7"],
    ["a long integer", "1800"],
    ["deep nesting", "81".repeat(5000)],
    ["a huge count", "9affffffff"],
    ["a huge string", "5bffffffffffffffff"],
    ["nothing", ""],
  ])("%s is refused", (_, hex) => {
    const bytes = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    for (const decode of [decodeEvidence, decodeStatement]) expect(() => decode(bytes)).toThrow();
  });
  test("evidence over its limits", () => {
    const big = { ...f.input.evidence, bytes: new Uint8Array(400_000) };
    expect(() => encodeEvidence(big)).toThrow("393216");
    const names = Array.from({ length: 17 }, (_, i) => [`a${i}`, new Uint8Array(1)]);
    const many = { ...f.input.evidence, attachments: Object.fromEntries(names) };
    expect(() => encodeEvidence(many)).toThrow(/small map|values/);
  });
  test("a statement with its fields in another order is refused", () => {
    const bytes = encodeStatement(f.input.statement);
    // Two entries of 7 bytes of name and 34 of digest, next to each other.
    const start = toHex(bytes).indexOf(`66${toHex(utf8("config"))}`) / 2;
    const swapped = new Uint8Array(bytes);
    swapped.set(bytes.subarray(start + 41, start + 82), start);
    swapped.set(bytes.subarray(start, start + 41), start + 41);
    expect(toHex(swapped.subarray(start + 1, start + 7))).toBe(toHex(utf8("policy")));
    expect(() => decodeStatement(swapped)).toThrow("deterministic");
  });
  test("report data by TEE", async () => {
    const { crypto } = f;
    const whole = [
      "sgx",
      "tdx",
      "snp",
      "sev",
      "sev-es",
      "csv",
      "cca",
      "nitro",
      "simulated",
    ] as const;
    for (const type of whole) {
      expect(await reportDataFor(crypto, type, binding)).toEqual(binding);
    }
    const digest = await crypto.digest("SHA-256", binding);
    for (const type of ["tpm", "az-snp-vtpm", "az-tdx-vtpm"] as const) {
      expect(await reportDataFor(crypto, type, binding)).toEqual(digest);
    }
    expect(await codeOf(reportDataFor(crypto, "tdx", binding.subarray(1)))).toBe("malformed");
  });
});

describe("delegation", () => {
  const fields = {
    code: digestOf(1),
    workload: "psi",
    notBefore: now,
    notAfter: now + maxDelegationMs,
  };

  test.each(["ES256", "EdDSA", "ES384"] as const)(
    "%s: verifies; each byte counts",
    async (algorithm) => {
      const identity = await f.crypto.generateSigner(algorithm);
      const bytes = await createDelegation(identity, { ...fields, worker: f.worker.publicKey });
      const delegation = await verifyDelegation(f.crypto, bytes, now);
      expect(delegation.fingerprint).toBe(await fingerprint(f.crypto, identity.publicKey));
      for (const changed of flips(bytes)) {
        expect(await codeOf(verifyDelegation(f.crypto, changed, now))).not.toBe("");
      }
    },
  );
  test("time: at most a day, not before, not after", async () => {
    const worker = f.worker.publicKey;
    const long = { ...fields, worker, notAfter: now + maxDelegationMs + 1 };
    expect(await codeOf(createDelegation(f.root, long))).toBe("malformed");
    expect(await codeOf(createDelegation(f.root, { ...fields, worker, notAfter: now }))).toBe(
      "malformed",
    );
    const bytes = await createDelegation(f.root, { ...fields, worker });
    const at = (time: number): Promise<string> => codeOf(verifyDelegation(f.crypto, bytes, time));
    expect(await at(fields.notAfter - 1)).toBe("");
    expect(await at(fields.notAfter)).toBe("expired");
    expect(await at(now - 60_001)).toBe("expired");
    expect(await at(Number.NaN)).toBe("expired");
  });
  test("a signature made for another purpose", async () => {
    const bytes = await createDelegation(
      {
        ...f.root,
        sign: (data) => f.root.sign(data.subarray(4 + 4 + labels.delegation.length + 4)),
      },
      { ...fields, worker: f.worker.publicKey },
    );
    expect(await codeOf(verifyDelegation(f.crypto, bytes, now))).toBe("not-genuine");
  });
});

describe("revocation list", () => {
  const list = (changes: Partial<RevocationList> = {}): RevocationList => ({
    sequence: 1,
    issuedAt: now,
    identities: [],
    measurements: [],
    tcb: [],
    ...changes,
  });
  const open = async (minimumSequence = 0) => {
    const signers = [await fingerprint(f.crypto, f.root.publicKey)];
    return createRevocations({ ...f, signers, maxAgeMs: 60_000, minimumSequence });
  };
  const subject = () => ({
    identity: f.input.identity,
    measurements: { code: toHex(digestOf(1)) },
    tee: "simulated" as const,
    tcbStatus: "UpToDate" as const,
  });

  test("each byte counts", async () => {
    const revocations = await open();
    const bytes = await signRevocationList(f.root, list({ identities: [f.input.identity] }));
    for (const changed of flips(bytes))
      expect(await codeOf(revocations.update(changed))).not.toBe("");
    expect(revocations.sequence).toBe(0);
    await revocations.update(bytes);
  });
  test("refuses everyone without a list and with a stale one; announces both", async () => {
    const local = await fixture();
    const signers = [await fingerprint(local.crypto, local.root.publicKey)];
    const revocations = createRevocations({ ...local, signers, maxAgeMs: 60_000 });
    let announced = 0;
    const end = revocations.onChange(() => announced++);
    expect(revocations.check(subject())?.ok).toBe(false);
    await revocations.update(await signRevocationList(local.root, list()));
    expect(revocations.check(subject())).toBeUndefined();
    expect(announced).toBe(1);
    local.clock.advance(60_000);
    expect(revocations.check(subject())?.ok).toBe(false);
    expect(announced).toBe(2);
    end();
  });
  test("names what is revoked", async () => {
    const cases: Partial<RevocationList>[] = [
      { identities: [subject().identity] },
      { measurements: [subject().measurements.code] },
      { tcb: [{ tee: "simulated", status: "UpToDate" }] },
    ];
    for (const changes of cases) {
      const revocations = await open();
      await revocations.update(await signRevocationList(f.root, list(changes)));
      expect(revocations.check(subject())?.ok).toBe(false);
      const appraisal = await f.appraise({}, { revocations });
      expect(appraisal.accepted).toBe(false);
    }
  });
  test("an older, an equal, a foreign, an old and a future list", async () => {
    const revocations = await open(4);
    const update = async (changes: Partial<RevocationList>, signer = f.root): Promise<string> =>
      await codeOf(revocations.update(await signRevocationList(signer, list(changes))));
    expect(await update({ sequence: 4 })).toBe("expired");
    expect(await update({ sequence: 5 })).toBe("");
    expect(await update({ sequence: 5 })).toBe("expired");
    expect(await update({ sequence: 6 }, f.worker)).toBe("not-genuine");
    expect(await update({ sequence: 6, issuedAt: now - 60_000 })).toBe("expired");
    expect(await update({ sequence: 6, issuedAt: now + 120_000 })).toBe("expired");
    expect(revocations.sequence).toBe(5);
  });
});

describe("passport (EAR token)", () => {
  const nonce = new Uint8Array(32).fill(7);
  const issue = async (): Promise<string> =>
    issueEar(await f.result(), {
      signer: f.root,
      audience: "alice",
      nonce,
      developer: "vivarium",
      build: "test",
      clock: f.clock,
    });
  const expectations = async (): Promise<EarExpectations> => ({
    keys: [f.root.publicKey],
    algorithms: ["ES256"],
    audience: "alice",
    nonce,
    statement: f.input.statement,
    identity: f.input.identity,
    role: "sender",
    policyDigest: Uint8Array.from((await f.result()).policyDigest.match(/../g) ?? [], (pair) =>
      Number.parseInt(pair, 16),
    ),
    binding,
    holderSignature: await provePassport(f.worker, binding),
    clock: f.clock,
    crypto: f.crypto,
  });

  test("is accepted from its holder, key-only and no longer than the result", async () => {
    const result = await acceptEar(await issue(), await expectations());
    const original = await f.result();
    expect(result.binding).toBe("key-only");
    expect(result.isolation).toBe("simulated");
    expect(result.expiresAt).toBeLessThanOrEqual(original.expiresAt);
    expect(result.measurements).toEqual(original.measurements);
  });
  test("says `warning`, never `affirming`, of simulated evidence", async () => {
    const payload = JSON.parse(
      atob((await issue()).split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? ""),
    );
    expect(payload.submods.cpu0["ear.status"]).toBe("warning");
  });
  test("each byte counts", async () => {
    const expected = await expectations();
    for (const changed of flips(utf8(await issue()))) {
      let token: string;
      try {
        token = fromUtf8(changed);
      } catch {
        continue;
      }
      expect(await codeOf(acceptEar(token, expected))).not.toBe("");
    }
  }, 60_000);
  test("each expectation counts", async () => {
    const token = await issue();
    const good = await expectations();
    const other = new Uint8Array(32).fill(8);
    const cases: Partial<EarExpectations>[] = [
      { keys: [] },
      { keys: [f.worker.publicKey] },
      { algorithms: [] },
      { algorithms: ["EdDSA"] },
      { audience: "bob" },
      { audience: "" },
      { nonce: other },
      { identity: `sha256:${"00".repeat(32)}` },
      { role: "receiver" },
      { policyDigest: other },
      { statement: { ...good.statement, config: other } },
      { binding: new Uint8Array(64) },
      { binding: new Uint8Array(0) },
      { holderSignature: new Uint8Array(64) },
      { holderSignature: await provePassport(f.root, binding) },
      { holderSignature: await f.worker.sign(binding) },
      { clock: { ...f.clock, now: () => now + 600_000 } },
      {
        revocations: {
          check: () => ({ rule: "revocation", ok: false, expected: "", actual: "" }),
          onChange: () => () => {},
        },
      },
    ];
    for (const changes of cases) {
      expect(
        await codeOf(acceptEar(token, { ...good, ...changes })),
        Object.keys(changes).join(),
      ).not.toBe("");
    }
  });
  test("a header's key, an unsigned token and other algorithms are refused", async () => {
    const [, payload] = (await issue()).split(".");
    const expected = await expectations();
    const forge = async (header: object, signed = true): Promise<string> => {
      const input = `${toBase64Url(utf8(JSON.stringify(header)))}.${payload}`;
      return `${input}.${signed ? toBase64Url(await f.worker.sign(utf8(input))) : ""}`;
    };
    const jwk = {
      kty: "EC",
      crv: "P-256",
      x: toBase64Url(f.worker.publicKey.slice(27, 59)),
      y: toBase64Url(f.worker.publicKey.slice(59)),
    };
    for (const token of [
      await forge({ alg: "ES256", typ: "JWT" }),
      await forge({ alg: "ES256", typ: "JWT", jwk }),
      await forge({ alg: "none", typ: "JWT" }, false),
      await forge({ alg: "HS256", typ: "JWT" }),
      "",
      "a.b",
      "..",
    ]) {
      expect(await codeOf(acceptEar(token, expected))).not.toBe("");
    }
  });
  test("a pinned verifier's token with a key in its header, or for another holder, is refused", async () => {
    const [head, payload] = (await issue()).split(".") as [string, string];
    const expected = await expectations();
    const signed = async (header: string, body: string): Promise<string> =>
      `${header}.${body}.${toBase64Url(await f.root.sign(utf8(`${header}.${body}`)))}`;
    const json = (value: object): string => toBase64Url(utf8(JSON.stringify(value)));
    // Signed anew without a change it is accepted: the signature is not what refuses the others.
    expect(await codeOf(acceptEar(await signed(head, payload), expected))).toBe("");
    const claims = JSON.parse(fromUtf8(fromBase64Url(payload)));
    const { jwk } = claims.cnf;
    for (const extra of [{ jwk }, { x5c: ["AA=="] }, { jku: "https://a.example" }, { kid: "1" }]) {
      const header = json({ alg: "ES256", typ: "JWT", ...extra });
      expect(await codeOf(acceptEar(await signed(header, payload), expected))).toBe("malformed");
    }
    const thief = await f.crypto.generateSigner("ES256");
    const point = (from: number, to: number): string =>
      toBase64Url(thief.publicKey.slice(from, to));
    const cnf = { jwk: { kty: "EC", crv: "P-256", x: point(27, 59), y: point(59, 91) } };
    const holderSignature = await provePassport(thief, binding);
    const token = await signed(head, json({ ...claims, cnf }));
    expect(await codeOf(acceptEar(token, { ...expected, holderSignature }))).toBe("not-genuine");
  });
  test("only a result of this process is issued", async () => {
    const copy = { ...(await f.result()) } as never;
    const options = {
      signer: f.root,
      audience: "a",
      nonce,
      developer: "d",
      build: "b",
      clock: f.clock,
    };
    expect(await codeOf(issueEar(copy, options))).toBe("not-a-result");
    expect(await codeOf(issueEar(await f.result(), { ...options, nonce: new Uint8Array(4) }))).toBe(
      "malformed",
    );
  });
});

test("the delegation's signature input is pinned", () => {
  expect(toHex(lengthPrefixed(labels.delegation, new Uint8Array(1)))).toBe(
    "0000000200000015766976617269756d2f312064656c65676174696f6e0000000100",
  );
});
