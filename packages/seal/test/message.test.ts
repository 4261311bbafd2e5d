import { type AttestationResult, createAppraiser, fingerprint } from "@vivarium/attestation";
import {
  simulatedAttester,
  simulatedPolicy,
  simulatedVerifier,
} from "@vivarium/attestation/simulated";
import type { Clock, Signer } from "@vivarium/core";
import {
  defaultDecodeLimits,
  fromHex,
  labels,
  lengthPrefixed,
  manualClock,
  systemRandom,
  toHex,
  u64,
  utf8,
} from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeCanonical, encodeCanonical } from "../src/canonical.ts";
import { generateRecipient, type HpkeKem, type HpkeKey, suiteOf } from "../src/hpke.ts";
import { type OpenMessageOptions, openMessage, sealMessage } from "../src/message.ts";
import { receiptParty } from "../src/receipt.ts";
import { createReplayGuard } from "../src/replay.ts";

const crypto = nodeCrypto();
const clock = manualClock(1_800_000_000_000);
const random = systemRandom();
const info = utf8("job 7");
const aad = utf8("part 1");
const plaintext = utf8("twelve percent");
const code = (name: string) => expect.objectContaining({ code: name });

test("RFC 9180 A.1.1: DHKEM(X25519), base mode, by the key derivation of our library", async () => {
  const suite = suiteOf("X25519");
  const sender = await suite.kem.deriveKeyPair(
    fromHex("7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234").buffer,
  );
  const recipient = await suite.kem.deriveKeyPair(
    fromHex("6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037").buffer,
  );
  const context = await suite.createSenderContext({
    recipientPublicKey: recipient.publicKey,
    ekm: sender,
    info: fromHex("4f6465206f6e2061204772656369616e2055726e").buffer,
  });
  expect(toHex(new Uint8Array(context.enc))).toBe(
    "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431",
  );
  expect(toHex(new Uint8Array(await suite.kem.serializePublicKey(recipient.publicKey)))).toBe(
    "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d",
  );
});

describe.each<HpkeKem>(["X25519", "P-256"])("%s", (kem) => {
  let recipient: HpkeKey;
  let other: HpkeKey;
  let senderKey: HpkeKey;
  let signer: Signer;
  let base: Omit<OpenMessageOptions, "from">;

  beforeAll(async () => {
    [recipient, other, senderKey] = await Promise.all([
      generateRecipient(kem),
      generateRecipient(kem),
      generateRecipient(kem),
    ]);
    signer = await crypto.generateSigner("EdDSA");
    base = { recipient, info, aad, crypto, clock, replay: createReplayGuard({ clock }) };
  });

  const seal = (from: Signer | HpkeKey) =>
    sealMessage({ to: recipient, from, info, aad, plaintext, clock, random });
  const expected = () =>
    [
      [signer, { signing: signer.publicKey, algorithm: "EdDSA" as const }, "signed"],
      [senderKey, { hpke: senderKey.publicKey }, "auth"],
    ] as const;
  const fresh = () => ({ ...base, replay: createReplayGuard({ clock }) });

  test("opens once, with the sender's id and time", async () => {
    for (const [key, from, mode] of expected()) {
      const options = { ...fresh(), from };
      const message = await seal(key);
      const opened = await openMessage(message, options);
      expect(opened).toMatchObject({ plaintext, mode, sentAt: clock.now() });
      expect(opened.id).toHaveLength(16);
      await expect(openMessage(message, options)).rejects.toThrow(code("replayed"));
      expect((await openMessage(await seal(key), options)).id).not.toEqual(opened.id);
    }
  });

  test("another recipient, info, aad or sender is refused", async () => {
    for (const [key, from] of expected()) {
      const message = await seal(key);
      const stranger = await crypto.generateSigner("EdDSA");
      const changes: Partial<OpenMessageOptions>[] = [
        { recipient: other },
        { info: utf8("job 8") },
        { aad: utf8("part 2") },
        { from: { signing: stranger.publicKey, algorithm: "EdDSA" } },
        { from: { hpke: other.publicKey } },
      ];
      for (const change of changes) {
        const options = { ...fresh(), from, ...change };
        await expect(openMessage(message, options)).rejects.toThrow(code("not-authentic"));
      }
    }
  });

  test("every byte counts", async () => {
    for (const [key, from] of expected()) {
      const message = await seal(key);
      const options = { ...fresh(), from };
      for (let i = 0; i < message.length; i++) {
        const bad = new Uint8Array(message);
        bad[i] = (bad[i] as number) ^ 1;
        await expect(openMessage(bad, options), `byte ${i}`).rejects.toMatchObject({
          code: expect.stringMatching(/^(malformed|not-authentic|limit-exceeded)$/),
        });
      }
      for (const bad of [message.subarray(1), message.subarray(0, -1), new Uint8Array(0)]) {
        await expect(openMessage(bad, options)).rejects.toMatchObject({ code: "malformed" });
      }
      // None of the refused ones was remembered as seen.
      expect((await openMessage(message, options)).plaintext).toEqual(plaintext);
    }
  });

  test("a signature cannot be replaced by another party's (surreptitious forwarding)", async () => {
    const thief = await crypto.generateSigner("EdDSA");
    const value = decodeCanonical("m", await seal(signer), defaultDecodeLimits);
    const fields = value as Record<string, never> & { enc: Uint8Array };
    const { id, sentAt, enc, ciphertext } = fields as unknown as {
      id: Uint8Array;
      sentAt: number;
      enc: Uint8Array;
      ciphertext: Uint8Array;
    };
    const schedule = lengthPrefixed(
      labels.message,
      "signed",
      kem,
      id,
      u64(sentAt),
      recipient.publicKey,
      thief.publicKey,
      info,
    );
    const bytes = lengthPrefixed(labels.messageSignature, schedule, enc, aad, ciphertext);
    const stolen = { ...fields, sender: thief.publicKey, signature: await thief.sign(bytes) };
    // The signature verifies; only the key schedule, which names the sender, refuses.
    await expect(
      openMessage(encodeCanonical(stolen), {
        ...fresh(),
        from: { signing: thief.publicKey, algorithm: "EdDSA" },
      }),
    ).rejects.toThrow(/does not decrypt/);
  });

  test("a signed message without its signature is not an auth message", async () => {
    const value = decodeCanonical("m", await seal(signer), defaultDecodeLimits) as object;
    const stripped = encodeCanonical({ ...value, signature: new Uint8Array(0) });
    const from = { signing: signer.publicKey, algorithm: "EdDSA" as const };
    await expect(openMessage(stripped, { ...fresh(), from })).rejects.toThrow(
      code("not-authentic"),
    );
  });
});

test("look-alikes of results and keys are refused", async () => {
  const recipient = await generateRecipient();
  const signer = await crypto.generateSigner("EdDSA");
  const fake = { keys: { hpke: recipient.publicKey }, expiresAt: Number.MAX_SAFE_INTEGER };
  const options = { from: signer, info, aad, plaintext, clock, random };
  await expect(sealMessage({ ...options, to: fake as never })).rejects.toThrow(
    code("not-a-result"),
  );
  await expect(
    sealMessage({ ...options, to: { kem: "X25519", publicKey: new Uint8Array(31) } }),
  ).rejects.toThrow(code("invalid-argument"));
  // A low-order point: the shared secret would be zero, known to everyone.
  await expect(
    sealMessage({ ...options, to: { kem: "X25519", publicKey: new Uint8Array(32) } }),
  ).rejects.toThrow(code("invalid-argument"));
  const message = await sealMessage({ ...options, to: recipient });
  const opening = { info, aad, crypto, clock, replay: createReplayGuard({ clock }), recipient };
  await expect(openMessage(message, { ...opening, from: fake as never })).rejects.toThrow(
    code("not-a-result"),
  );
  const from = { signing: signer.publicKey, algorithm: "EdDSA" as const };
  await expect(
    openMessage(message, { ...opening, from, recipient: { ...recipient } }),
  ).rejects.toThrow(code("invalid-argument"));
  await expect(
    sealMessage({ ...options, to: recipient, info: new Uint8Array(65_537) }),
  ).rejects.toThrow(code("limit-exceeded"));
});

describe("replay guard", () => {
  const sender = new Uint8Array([1]);
  const id = (n: number) => new Uint8Array([n]);

  test("refuses the old, the future and the seen; forgets what is too old to be let in", () => {
    const time = manualClock(10_000_000);
    const guard = createReplayGuard({ clock: time, maxAgeMs: 1000, maxSkewMs: 100, maxEntries: 2 });
    expect(() => guard.accept(sender, id(0), time.now() - 1000)).toThrow(code("replayed"));
    expect(() => guard.accept(sender, id(0), time.now() + 101)).toThrow(code("replayed"));
    guard.accept(sender, id(1), time.now() + 100);
    expect(() => guard.accept(sender, id(1), time.now() + 100)).toThrow(code("replayed"));
    guard.accept(sender, id(2), time.now());
    expect(() => guard.accept(sender, id(3), time.now())).toThrow(code("limit-exceeded"));
    time.advance(1050);
    expect(() => guard.accept(sender, id(1), 10_000_100)).toThrow(code("replayed"));
    time.advance(100);
    guard.accept(sender, id(1), time.now());
  });
});

describe("to and from a verified statement", () => {
  test("uses the keys of the result, and only while it is valid", async () => {
    const [recipient, signer] = [await generateRecipient(), await crypto.generateSigner("ES256")];
    const time = manualClock(5_000_000);
    const to = await appraised(time, recipient.publicKey, signer.publicKey);
    const from = await appraised(time, random.bytes(32), signer.publicKey);
    const sealing = { to, from: signer, info, aad, plaintext, clock: time, random };
    const message = await sealMessage(sealing);
    const replay = createReplayGuard({ clock: time });
    const opening = { recipient, from, info, aad, crypto, clock: time, replay };
    expect((await openMessage(message, opening)).plaintext).toEqual(plaintext);
    expect(receiptParty(to)).toMatchObject({ role: "sender", isolation: "simulated" });
    const second = await sealMessage(sealing);
    time.advance(10_000);
    await expect(sealMessage(sealing)).rejects.toThrow(code("expired"));
    await expect(openMessage(second, opening)).rejects.toThrow(code("expired"));
  });
});

/** A result as any release gets it: from the appraiser, over simulated evidence. Lives 10 s. */
async function appraised(
  time: Clock,
  hpke: Uint8Array,
  signing: Uint8Array,
): Promise<AttestationResult> {
  const root = await crypto.generateSigner("ES256");
  const digest = (name: string) => crypto.digest("SHA-256", utf8(name));
  const measured = {
    code: await digest("code"),
    runtime: await digest("runtime"),
    flags: await digest("flags"),
    policy: await digest("policy"),
    config: await digest("config"),
  };
  const statement = { ...measured, keys: { tls: signing, signing, hpke, receipt: signing } };
  const reportData = random.bytes(64);
  const attester = simulatedAttester({ root, crypto, clock: time, measured });
  const policy = await simulatedPolicy({
    crypto,
    role: "sender",
    identity: signing,
    root: root.publicKey,
    measurements: measured,
    maxAgeSeconds: 10,
  });
  const appraiser = createAppraiser({ verifiers: [simulatedVerifier()], crypto, clock: time });
  const appraisal = await appraiser.appraise({
    evidence: await attester.collect(reportData),
    collateral: {},
    policy,
    role: "sender",
    statement,
    identity: await fingerprint(crypto, signing),
    identityNotAfter: time.now() + 3_600_000,
    reportData,
    binding: "session",
  });
  if (!appraisal.accepted) throw appraisal.error;
  return appraisal.result;
}
