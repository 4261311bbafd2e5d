/**
 * Launch secrets: known answers of virtee/sev and sevctl, and a whole launch against firmware that is written
 * from the specification in `synthetic/sev.ts`, with other primitives.
 */
import { fromHex, manualClock, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { detectAttester, platformFiles, sevSecretAttester } from "../src/collect/index.ts";
import {
  AttestationError,
  createAppraiser,
  type Evidence,
  fingerprint,
  type PolicyRecord,
  parsePolicy,
} from "../src/index.ts";
import {
  admitSevGuest,
  createSevSession,
  launchMeasure,
  openSevSecret,
  type SevAdmissionInput,
  sealLaunchSecret,
  sevAttester,
  sevPolicy,
  sevSecretGuid,
  sevVerifier,
  signSevLaunch,
  verifySevPlatform,
} from "../src/sev/index.ts";
import { launchBlob } from "../src/sev/session.ts";
import { everyVerifier } from "../src/verifiers/index.ts";
import { now, statementFor } from "./simulated-subject.ts";
import { syntheticSev } from "./synthetic/sev.ts";

const crypto = nodeCrypto();
const firmware = { apiMajor: 1, apiMinor: 55, build: 21 };
const digest = new Uint8Array(32).fill(0x5e);
const binding = Uint8Array.from({ length: 64 }, (_, i) => i);
const strict = sevPolicy.noDebug | sevPolicy.noKeySharing | sevPolicy.es | sevPolicy.noSend;

const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return error.findings.at(-1)?.rule ?? error.code;
  }
}

describe("known answers", () => {
  test("launch blob of virtee/sev", async () => {
    const zero = new Uint8Array(16);
    const keys = { encryption: zero, integrity: zero };
    const blob = await launchBlob({
      ...{ crypto, shared: zero, keys, nonce: zero, iv: zero, policy: 0 },
    });
    expect(toHex(blob)).toBe(
      [
        "00".repeat(16),
        "2137bc7f9bb8bd7c3e55a576a15d3454b3856b8ba27afadf46dcfee9f02c02c4",
        "00".repeat(16),
        "3176c0752738bd9d5e8668953402 0f528c088f16238826b000b327dee6aeed7d".replace(" ", ""),
        "aa7855e13839dd767cd5da7c1ff5036540c9264b7a803029315e55375287b4af",
      ].join(""),
    );
  });

  test.each([
    [
      "virtee/sev",
      {
        integrity: fromHex("66320db73158a35a255d051758e95ed4"),
        firmware: { apiMajor: 0, apiMinor: 0x12, build: 0x0f },
        policy: 0,
        digest: fromHex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        nonce: fromHex("4fbe0bedbad6c86ae8f68971d103e554"),
      },
      "6faab2daae389bcd3405a05d6cafe33c0414f7bedd0bae19ba5f38b7fd1664ea",
    ],
    [
      "sevctl",
      {
        integrity: fromHex("3569cf61a32a602b87185ac6e0f55913"),
        firmware: { apiMajor: 1, apiMinor: 40, build: 40 },
        policy: 3,
        digest: base64("xkvRAfyaSizgonxAjZIAkR8TmolUabBKQKb6KJCDDSM="),
        nonce: base64("wxP6tRHCFrFQWxsuqZA8QA=="),
      },
      toHex(
        base64("lswbxWxI9gckya16JQvdFtpYmNO4b+3inAPpqsgoBI7DE/q1EcIWsVBbGy6pkDxA").slice(0, 32),
      ),
    ],
  ])("measurement of %s", async (_name, input, wanted) => {
    expect(toHex(await launchMeasure(crypto, input))).toBe(wanted);
  });

  test("secret of sevctl", async () => {
    const keys = {
      encryption: fromHex("52a869b79ab9c13bb6a92b0561619cb3"),
      integrity: fromHex("c6d5a9956133050912b24bbe5c372686"),
    };
    const measure = base64("TLeA7607lZQntLjRY1/i+sbtdSZ+75zxpz4Px9hzpBLwItF5Q2o4prA++3ZZv9ZS");
    const first = ["736869e5-84f0-4973-92ec-06879ce3da0b", utf8("MY-LUKS-PASSPHRASE")] as const;
    const second = ["736869e5-aaaa-4973-92ec-06879ce3da0b", utf8("SOME OTHER SECRET")] as const;
    const iv = { bytes: () => new Uint8Array(base64("rFR07U3TLH2YnsUj2SVZ7A==")) };
    const seal = async (...secrets: (typeof first)[]): Promise<readonly string[]> => {
      const map = new Map<string, Uint8Array>(secrets);
      const { header, data } = await sealLaunchSecret(crypto, keys, measure.slice(0, 32), map, iv);
      return [header, data].map((bytes) => Buffer.from(bytes).toString("base64"));
    };
    expect(await seal(first)).toEqual([
      "AAAAAKxUdO1N0yx9mJ7FI9klWey8FSzeYQ4X8K71VzNKLU/KQsIsQxLjtbhaPUewqshX5Q==",
      "0U3e5PcXv0UW+H4tSBFKOdCYfKE1+j38Bc2fuO16mYiyI+sWx7INfn+lgYj56GL12yyinDa+lVfCCwD/2w5cPA==",
    ]);
    expect(await seal(first, second as unknown as typeof first)).toEqual([
      "AAAAAKxUdO1N0yx9mJ7FI9klWeyZ3r0dOEKHUOhIRqzGYYvTJgdMtBPL1nK6GD9aGET7Ng==",
      "0U3e5PcXv0UW+H4tSBFKObWYfKE1+j38Bc2fuO16mYiyI+sWx7INfn+lgYj56GL12yyinDa+lVfCC+WWs332lpLNUX1ZI3YK7vYgtys4X+uGxEIlkIQ90v8/w8ZFmQMe",
    ]);
    const large = new Map([[first[0], new Uint8Array(4096)]]);
    expect(await codeOf(sealLaunchSecret(crypto, keys, measure.slice(0, 32), large))).toBe(
      "malformed",
    );
  });
});

/** A platform, an owner, and a launch as far as its measurement. */
async function launched(policy: number = strict) {
  const machine = syntheticSev(firmware);
  const platform = await verifySevPlatform({ crypto, ...machine.platform });
  const session = await createSevSession({ crypto, platform, policy });
  const launch = machine.start(session.certificate, session.blob, policy);
  const owner = await crypto.generateSigner("ES256");
  const input: SevAdmissionInput = {
    ...{ crypto, owner, session, firmware, measure: launch.measure(digest), digests: [digest] },
    ...{ now, notAfter: now + 3_600_000 },
  };
  return { machine, launch, owner, input, platform };
}

/** What the guest's kernel shows of the decrypted table. */
function entryOf(plain: Uint8Array): Uint8Array {
  expect(toHex(plain.slice(0, 4))).toBe("42f5741e");
  expect(toHex(plain.slice(20, 24))).toBe(toHex(fromHex(sevSecretGuid.slice(0, 8)).reverse()));
  const length = new DataView(plain.buffer, plain.byteOffset).getUint32(36, true);
  return plain.slice(40, 20 + length);
}

describe("a launch", () => {
  test("that measures right gives the guest a key, and its evidence opens a session by policy", async () => {
    const { launch, owner, input } = await launched();
    const { secret } = await admitSevGuest(input);
    const attester = await openSevSecret(
      crypto,
      entryOf(launch.inject(secret.header, secret.data)),
    );
    expect(attester.type).toBe("sev-es");
    const evidence = await attester.collect(binding);
    const root = await fingerprint(crypto, owner.publicKey);
    const record: PolicyRecord = {
      ...{ type: "sev-es", isolation: "tee", binding: "launch-secret", root },
      measurements: { measurement: [toHex(digest)] },
      minimumSvn: { firmware: 0x1_3715 },
      ...{ tcb: ["UpToDate"], debug: false, maxAgeSeconds: 60 },
    };
    const appraise = async (of: Evidence, accept: PolicyRecord, reportData = binding) => {
      const identity = `sha256:${"1d".repeat(32)}`;
      const roles = { peer: { identities: [identity], accept: [accept] } };
      const worker = await crypto.generateSigner("ES256");
      return await createAppraiser({
        ...{ verifiers: everyVerifier(), crypto, clock: manualClock(now) },
      }).appraise({
        ...{ evidence: of, collateral: {}, role: "peer", identity, reportData },
        ...{ identityNotAfter: now + 3_600_000, statement: statementFor(worker) },
        ...{ policy: parsePolicy({ version: 1, name: "x", roles }), binding: "session" },
      });
    };
    const accepted = await appraise(evidence, record);
    expect(accepted.accepted && accepted.result.binding).toBe("launch-secret");
    // The same evidence in another session, another digest, another owner.
    const other = Uint8Array.from(binding, (byte) => byte ^ 1);
    const refusals = [
      await appraise(evidence, record, other),
      await appraise(evidence, { ...record, measurements: { measurement: ["00".repeat(32)] } }),
      await appraise(evidence, { ...record, root: `sha256:${"0".repeat(64)}` }),
      await appraise(evidence, { ...record, minimumSvn: { firmware: 0x1_3716 } }),
    ];
    const rules = refusals.map(({ findings }) => findings.find(({ ok }) => !ok)?.rule);
    expect(rules).toEqual(["report-data", "measurement.measurement", "root", "svn.firmware"]);
  });

  test("that measures anything else gets no key", async () => {
    const { input, launch } = await launched();
    const changed = new Uint8Array(input.measure);
    changed[3] = (changed[3] as number) ^ 1;
    const lies: readonly Partial<SevAdmissionInput>[] = [
      { measure: launch.measure(new Uint8Array(32)) },
      { measure: changed },
      { digests: [] },
      { digests: [new Uint8Array(32)] },
      { firmware: { ...firmware, build: 22 } },
      { session: { ...input.session, policy: strict & ~sevPolicy.noDebug } },
      { session: (await launched()).input.session },
    ];
    for (const lie of lies) {
      expect(await codeOf(admitSevGuest({ ...input, ...lie }))).toBe("sev.measure");
    }
    const short = { ...input, measure: input.measure.slice(1) };
    expect(await codeOf(admitSevGuest(short))).toBe("sev.measure-length");
    expect(await codeOf(admitSevGuest({ ...input, notAfter: now }))).toBe("malformed");
  });

  test("of one platform is of no use to another", async () => {
    const { input } = await launched();
    const other = syntheticSev(firmware);
    const { certificate, blob } = input.session;
    expect(() => other.start(certificate, blob, strict)).toThrow("BAD_MEASUREMENT");
    const { launch } = await launched();
    launch.measure(digest);
    const { secret } = await admitSevGuest(input);
    expect(() => launch.inject(secret.header, secret.data)).toThrow("BAD_MEASUREMENT");
  });

  test("under a policy that the host has changed does not start", async () => {
    const { machine, input } = await launched();
    const { certificate, blob } = input.session;
    expect(() => machine.start(certificate, blob, strict & ~1)).toThrow("policy");
  });
});

describe("evidence", () => {
  const statement = {
    ...{ ...firmware, policy: strict, measurement: digest, platformRoot: digest },
    ...{ platformOwner: digest, notBefore: now, notAfter: now + 1000 },
  };

  async function evidenceOf(change: Partial<typeof statement> = {}, swap = false) {
    const owner = await crypto.generateSigner("EdDSA");
    const pkcs8 = await crypto.generatePrivateKey("ES256");
    const key = await crypto.importSigner("ES256", pkcs8);
    const launch = await signSevLaunch(owner, { ...statement, ...change, key: key.publicKey });
    const { encodeCbor } = await import("../src/cbor.ts");
    const mine = swap ? await crypto.generatePrivateKey("ES256") : pkcs8;
    const secret = encodeCbor(new Map([["key", mine] as const, ["launch", launch] as const]));
    return await (await openSevSecret(crypto, secret)).collect(binding);
  }

  const verify = async (evidence: Evidence, at = now) => {
    const verifier = everyVerifier().find(({ type }) => type === evidence.type);
    return await verifier?.verify(evidence, { crypto, now: at, collateral: {} });
  };

  test("names every bit of the policy that lets somebody in", async () => {
    const names = async (policy: number) => {
      const verified = await verify(await evidenceOf({ policy }));
      return [verified?.type, verified?.debug, verified?.relaxations.map(({ name }) => name)];
    };
    expect(await names(strict)).toEqual(["sev-es", false, []]);
    expect(await names(strict & ~sevPolicy.es)).toEqual(["sev", false, ["sev.registers-in-clear"]]);
    expect(await names(sevPolicy.es)).toEqual([
      ...["sev-es", true, ["sev.key-sharing", "sev.migratable"]],
    ]);
  });

  test("is good from the admission to the end that the owner has set", async () => {
    const evidence = await evidenceOf();
    expect(await codeOf(verify(evidence, now + 999))).toBe("accepted");
    expect(await codeOf(verify(evidence, now + 1000))).toBe("sev.window");
    expect(await codeOf(verify(evidence, now - 60_001))).toBe("sev.window");
  });

  test("under a statement that the named owner has not signed is refused", async () => {
    const [owner, key] = [
      await crypto.generateSigner("EdDSA"),
      await crypto.generateSigner("ES256"),
    ];
    const launch = await signSevLaunch(owner, { ...statement, key: key.publicKey });
    const forged = new Uint8Array(launch);
    const at = toHex(forged).indexOf(toHex(digest)) / 2;
    expect(at).toBeGreaterThan(0);
    forged[at] = 1;
    // The guest's own signature is right: its key signs whatever the guest wants.
    const evidence = await sevAttester(crypto, key, forged).collect(binding);
    expect(await codeOf(verify(evidence))).toBe("sev.owner-signature");
    const genuine = await sevAttester(crypto, key, launch).collect(binding);
    expect(await codeOf(verify(genuine))).toBe("accepted");
    const stranger = await crypto.generateSigner("ES256");
    const stolen = await sevAttester(crypto, stranger, launch).collect(binding);
    expect(await codeOf(verify(stolen))).toBe("sev.guest-signature");
  });

  test("is collected in a guest from the file that its kernel shows", async () => {
    const { launch, input } = await launched();
    const { secret } = await admitSevGuest(input);
    const plain = entryOf(launch.inject(secret.header, secret.data));
    const path = `/sys/kernel/security/secrets/coco/${sevSecretGuid}`;
    const files = {
      ...platformFiles("/nonexistent"),
      read: async (asked: string) =>
        asked === path ? new Uint8Array(plain) : platformFiles("/nonexistent").read(asked, 1),
    };
    const helperDirectory = "/nonexistent";
    const { name, attester } = await detectAttester({ files, helperDirectory });
    expect([name, attester.type]).toEqual(["sev", "sev-es"]);
    expect(await codeOf(verify(await attester.collect(binding)))).toBe("accepted");
    const absent = sevSecretAttester({ files: platformFiles("/nonexistent") });
    expect(await codeOf(absent)).toBe("unavailable");
  });

  test("of the other kind, or with a key that was not injected, is refused", async () => {
    const evidence = await evidenceOf();
    const context = { crypto, now, collateral: {} };
    const plain = sevVerifier("sev");
    expect(await codeOf(plain.verify({ ...evidence, type: "sev" }, context))).toBe("sev.policy-es");
    expect(await codeOf(plain.verify(evidence, context))).toBe("unknown-type");
    const attached = { ...evidence, attachments: { eventlog: new Uint8Array(1) } };
    expect(await codeOf(verify(attached))).toBe("malformed");
    expect(await codeOf(evidenceOf({}, true))).toBe("malformed");
  });
});
