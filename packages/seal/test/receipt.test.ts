import { createDelegation, fingerprint } from "@vivarium/attestation";
import { defaultDecodeLimits, type Encodable, type Signer, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { webCrypto } from "@vivarium/core/web";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeCanonical, encodeCanonical } from "../src/canonical.ts";
import {
  commit,
  endorseReceiptKey,
  type ReceiptContent,
  signReceipt,
  verifyReceipt,
} from "../src/receipt.ts";

const crypto = nodeCrypto();
const issuedAt = 1_800_000_000_000;
const code = (name: string) => expect.objectContaining({ code: name });
const salt = new Uint8Array(32).fill(5);
const party = {
  role: "sender",
  identity: `sha256:${"ab".repeat(32)}`,
  tee: "simulated",
  isolation: "simulated",
  binding: "session",
  evidence: "01".repeat(32),
  statement: "02".repeat(32),
  policy: "03".repeat(32),
};

let identity: Signer;
let worker: Signer;
let receiptKey: Signer;
let delegation: Uint8Array;
let endorsement: Uint8Array;
let content: ReceiptContent;
let identities: string[];

const delegate = (by: Signer, to: Signer, from = issuedAt - 1000) =>
  createDelegation(by, {
    worker: to.publicKey,
    code: new Uint8Array(32).fill(9),
    workload: "psi",
    notBefore: from,
    notAfter: from + 3_600_000,
  });

beforeAll(async () => {
  identity = await crypto.generateSigner("EdDSA");
  worker = await crypto.generateSigner("ES256");
  receiptKey = await crypto.generateSigner("ES256");
  delegation = await delegate(identity, worker);
  endorsement = await endorseReceiptKey(worker, receiptKey.publicKey);
  identities = [await fingerprint(crypto, identity.publicKey)];
  content = {
    kind: "psi/run",
    issuedAt,
    body: { mode: "intersection", size: 50_628, zed: [1, null], a: new Uint8Array([1]) },
    commitments: { input: await commit(crypto, utf8("my list"), salt) },
    parties: [party],
  };
});

const reopen = (bytes: Uint8Array) =>
  decodeCanonical("r", bytes, defaultDecodeLimits) as Record<string, Encodable>;

describe("a receipt", () => {
  test("verifies offline with nothing but the fingerprint, in Node and browsers", async () => {
    for (const bytes of [
      await signReceipt(content, worker, delegation),
      await signReceipt(content, receiptKey, delegation, endorsement),
    ]) {
      for (const verifier of [crypto, webCrypto()]) {
        const receipt = await verifyReceipt(bytes, { crypto: verifier, identities });
        expect(receipt).toMatchObject(content);
        expect(receipt.issuer).toEqual({
          identity: identities[0],
          code: new Uint8Array(32).fill(9),
          workload: "psi",
        });
      }
      expect((await verifyReceipt(bytes, { crypto, identities: "any" })).kind).toBe("psi/run");
    }
  });

  test("every byte flipped is refused, and every truncation", async () => {
    const bytes = await signReceipt(content, receiptKey, delegation, endorsement);
    for (let i = 0; i < bytes.length; i++) {
      const bad = new Uint8Array(bytes);
      bad[i] = (bad[i] as number) ^ 1;
      await expect(verifyReceipt(bad, { crypto, identities }), `byte ${i}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(malformed|not-genuine|limit-exceeded)$/),
      });
    }
    for (let i = 0; i < bytes.length; i += 17) {
      const cut = bytes.subarray(0, i);
      await expect(verifyReceipt(cut, { crypto, identities })).rejects.toThrow(code("malformed"));
    }
  });

  test("of another party is refused, also if it is genuine", async () => {
    const mallory = await crypto.generateSigner("EdDSA");
    const bytes = await signReceipt(content, worker, await delegate(mallory, worker));
    await expect(verifyReceipt(bytes, { crypto, identities })).rejects.toThrow(
      /none of the expected parties/,
    );
    await expect(verifyReceipt(bytes, { crypto, identities: [] })).rejects.toThrow(
      code("not-genuine"),
    );
  });

  test("by a key that nobody delegated to, or endorsed, is refused", async () => {
    const mallory = await crypto.generateSigner("ES256");
    const own = await endorseReceiptKey(mallory, mallory.publicKey);
    for (const forged of [
      await signReceipt(content, mallory, delegation),
      await signReceipt(content, mallory, delegation, own),
      await signReceipt(content, mallory, delegation, endorsement),
    ]) {
      await expect(verifyReceipt(forged, { crypto, identities })).rejects.toThrow(/not endorsed/);
    }
    const padded = await signReceipt(content, worker, delegation, endorsement);
    await expect(verifyReceipt(padded, { crypto, identities })).rejects.toThrow(
      code("not-genuine"),
    );
  });

  test("outside the delegation's lifetime is refused", async () => {
    for (const from of [issuedAt - 3_600_000, issuedAt + 61_000]) {
      const bytes = await signReceipt(content, worker, await delegate(identity, worker, from));
      await expect(verifyReceipt(bytes, { crypto, identities })).rejects.toThrow(
        /does not hold at the time/,
      );
    }
  });

  test("cannot be moved under another delegation of the same worker key", async () => {
    const bytes = await signReceipt(content, worker, delegation);
    const moved = encodeCanonical({
      ...reopen(bytes),
      delegation: await delegate(identity, worker, issuedAt - 5000),
    });
    await expect(verifyReceipt(moved, { crypto, identities })).rejects.toThrow(/was altered/);
  });

  test("unknown, missing and wrong fields are refused before anything is verified", async () => {
    const bytes = await signReceipt(content, worker, delegation);
    const outer = reopen(bytes);
    const { key: _, ...missing } = outer;
    const { payload } = outer;
    const inner = reopen(payload as Uint8Array);
    const bad = [
      { ...outer, extra: 1 },
      missing,
      { ...outer, payload: encodeCanonical({ ...inner, v: 2 }) },
      { ...outer, payload: encodeCanonical({ ...inner, more: 1 }) },
      {
        ...outer,
        payload: encodeCanonical({ ...inner, commitments: { input: new Uint8Array(31) } }),
      },
      { ...outer, payload: encodeCanonical({ ...inner, commitments: [] }) },
      { ...outer, payload: encodeCanonical({ ...inner, parties: Array(65).fill(party) }) },
      { ...outer, payload: encodeCanonical({ ...inner, parties: [{ ...party, tee: 1 }] }) },
      { ...outer, payload: encodeCanonical({ ...inner, issuedAt: -1 }) },
    ];
    for (const value of bad) {
      const encoded = encodeCanonical(value as Encodable);
      await expect(verifyReceipt(encoded, { crypto, identities })).rejects.toThrow(
        code("malformed"),
      );
    }
  });

  test("has one encoding: another order of fields is refused", async () => {
    const { encode } = await import("@vivarium/core");
    const fields = reopen(await signReceipt(content, worker, delegation));
    const turned = Object.fromEntries(Object.entries(fields).reverse());
    await expect(verifyReceipt(encode(turned), { crypto, identities })).rejects.toThrow(
      /not in its canonical form/,
    );
  });

  test("is not signed if it could not be read back", async () => {
    const parties = Array(65).fill(party);
    await expect(signReceipt({ ...content, parties }, worker, delegation)).rejects.toThrow(
      code("malformed"),
    );
    const body = new Uint8Array(1024 * 1024);
    await expect(signReceipt({ ...content, body }, worker, delegation)).rejects.toThrow(
      code("limit-exceeded"),
    );
  });
});

describe("commit", () => {
  test("depends on value and salt, and needs a whole salt", async () => {
    const one = await commit(crypto, utf8("a"), salt);
    expect(await commit(crypto, utf8("a"), salt)).toEqual(one);
    expect(await commit(crypto, utf8("b"), salt)).not.toEqual(one);
    expect(await commit(crypto, utf8("a"), new Uint8Array(32))).not.toEqual(one);
    await expect(commit(crypto, utf8("a"), new Uint8Array(16))).rejects.toThrow(
      code("invalid-argument"),
    );
  });
});
