/** One contract for both implementations of Crypto. */
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { ed25519 } from "@noble/curves/ed25519.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex, utf8 } from "../src/bytes.ts";
import type { SignatureAlgorithm, SigningAlgorithm } from "../src/crypto.ts";
import { nodeCrypto } from "../src/node/index.ts";
import { keyOfSpki } from "../src/spki.ts";
import { webCrypto } from "../src/web/index.ts";

const both = [nodeCrypto(), webCrypto()];
const data = utf8("what was said");
const spkiOf = (key: KeyObject) => new Uint8Array(key.export({ format: "der", type: "spki" }));
const signing: SigningAlgorithm[] = ["ES256", "ES384", "EdDSA"];
const all: SignatureAlgorithm[] = [
  ...signing,
  "ES512",
  "PS256",
  "PS384",
  "PS512",
  "RS256",
  "RS384",
  "RS512",
];
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const p521 = generateKeyPairSync("ec", { namedCurve: "secp521r1" });
const rsaKey = spkiOf(rsa.publicKey);

const rsaSign = (algorithm: string, saltLength?: number): Uint8Array =>
  sign(`sha${algorithm.slice(2)}`, data, {
    key: rsa.privateKey,
    ...(algorithm.startsWith("PS")
      ? {
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: saltLength ?? constants.RSA_PSS_SALTLEN_DIGEST,
        }
      : {}),
  });

async function signedBy(algorithm: SignatureAlgorithm): Promise<[Uint8Array, Uint8Array]> {
  if (algorithm === "ES512") {
    const key = { key: p521.privateKey, dsaEncoding: "ieee-p1363" as const };
    return [spkiOf(p521.publicKey), sign("sha512", data, key)];
  }
  if (signing.includes(algorithm as SigningAlgorithm)) {
    const signer = await nodeCrypto().generateSigner(algorithm as SigningAlgorithm);
    return [signer.publicKey, await signer.sign(data)];
  }
  return [rsaKey, rsaSign(algorithm)];
}

describe.each(both.map((crypto) => [crypto.name, crypto] as const))("%s", (_, crypto) => {
  test("FIPS 180-4: digests of abc and of nothing", async () => {
    const abc = utf8("abc");
    expect(toHex(await crypto.digest("SHA-256", abc))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(toHex(await crypto.digest("SHA-384", abc))).toMatch(/^cb00753f45a35e8bb5a03d699ac65007/);
    expect(toHex(await crypto.digest("SHA-512", abc))).toMatch(/^ddaf35a193617abacc417349ae204131/);
    expect(toHex(await crypto.digest("SHA-256", new Uint8Array(0)))).toMatch(/^e3b0c44298fc1c14/);
    const shared = new Uint8Array(new SharedArrayBuffer(3));
    shared.set(abc);
    expect(toHex(await crypto.digest("SHA-256", shared))).toMatch(/^ba7816bf/);
  });

  test("RFC 4231: test cases 1, 2 and 6", async () => {
    const hmac = async (key: Uint8Array, text: string) =>
      toHex(await crypto.hmac("SHA-256", key, utf8(text)));
    expect(await hmac(new Uint8Array(20).fill(0x0b), "Hi There")).toBe(
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    );
    expect(await hmac(utf8("Jefe"), "what do ya want for nothing?")).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
    const long = "Test Using Larger Than Block-Size Key - Hash Key First";
    expect(await hmac(new Uint8Array(131).fill(0xaa), long)).toBe(
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    );
  });

  test("RFC 5869: test cases 1 and 3, and the bound on the length", async () => {
    const ikm = new Uint8Array(22).fill(0x0b);
    const okm = await crypto.hkdf(
      "SHA-256",
      ikm,
      fromHex("000102030405060708090a0b0c"),
      fromHex("f0f1f2f3f4f5f6f7f8f9"),
      42,
    );
    expect(toHex(okm)).toBe(
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    );
    const none = new Uint8Array(0);
    expect(toHex(await crypto.hkdf("SHA-256", ikm, none, none, 42))).toBe(
      "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    );
    expect(await crypto.hkdf("SHA-512", ikm, none, none, 255 * 64)).toHaveLength(255 * 64);
    for (const length of [0, -1, 1.5, 255 * 32 + 1]) {
      await expect(crypto.hkdf("SHA-256", ikm, none, none, length)).rejects.toMatchObject({
        code: "invalid-argument",
      });
    }
  });

  test("RFC 8032 section 7.1: test 3", async () => {
    const key = fromHex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025");
    const signature = fromHex(
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    );
    const spki = concat(fromHex("302a300506032b6570032100"), key);
    expect(await crypto.verify("EdDSA", spki, signature, fromHex("af82"))).toBe(true);
    expect(await crypto.verify("EdDSA", spki, signature, fromHex("af83"))).toBe(false);
  });

  test.each(all)("%s verifies, and nothing near it does", async (algorithm) => {
    const [key, signature] = await signedBy(algorithm);
    const check = (a: SignatureAlgorithm, k: Uint8Array, s: Uint8Array, d = data) =>
      crypto.verify(a, k, s, d);
    expect(await check(algorithm, key, signature)).toBe(true);
    expect(await check(algorithm, key, signature, utf8("what was sald"))).toBe(false);
    for (const i of [0, signature.length >> 1, signature.length - 1]) {
      const bad = new Uint8Array(signature);
      bad[i] = (bad[i] as number) ^ 1;
      expect(await check(algorithm, key, bad)).toBe(false);
    }
    for (const bad of [
      new Uint8Array(0),
      signature.subarray(1),
      concat(signature, new Uint8Array(1)),
      new Uint8Array(signature.length),
      new Uint8Array(signature.length).fill(255),
    ]) {
      expect(await check(algorithm, key, bad)).toBe(false);
    }
    for (const other of all) {
      if (other !== algorithm) expect(await check(other, key, signature)).toBe(false);
    }
  });

  test.each(all)("%s: malformed keys give false, never an exception", async (algorithm) => {
    const [key, signature] = await signedBy(algorithm);
    const pem = utf8(
      `-----BEGIN PUBLIC KEY-----\n${Buffer.from(key).toString("base64")}\n-----END PUBLIC KEY-----\n`,
    );
    for (const bad of [
      new Uint8Array(0),
      key.subarray(0, -1),
      concat(key, new Uint8Array(1)),
      concat(key, pem),
      pem,
      new Uint8Array(key.length),
    ]) {
      expect(await crypto.verify(algorithm, bad, signature, data)).toBe(false);
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const bad = new Uint8Array(key);
        const i = at % bad.length;
        bad[i] = (bad[i] as number) ^ mask;
        expect(await crypto.verify(algorithm, bad, signature, data)).toBe(false);
      }),
      { numRuns: 40 },
    );
  });

  test("PSS with another salt length, RSA under 2,048 bits and RSA-PSS keys are refused", async () => {
    expect(await crypto.verify("PS256", rsaKey, rsaSign("PS256", 20), data)).toBe(false);
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const signature = sign("sha256", data, weak.privateKey);
    expect(await crypto.verify("RS256", spkiOf(weak.publicKey), signature, data)).toBe(false);
    const odd = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 3 });
    const byOdd = sign("sha256", data, odd.privateKey);
    expect(await crypto.verify("RS256", spkiOf(odd.publicKey), byOdd, data)).toBe(false);
  });

  test("Ed25519 keys of small order are refused: they verify what nobody signed", async () => {
    for (const y of ["01", "00", "ec"]) {
      const key = fromHex(y === "ec" ? `ec${"ff".repeat(30)}7f` : `${y}${"00".repeat(31)}`);
      const spki = concat(fromHex("302a300506032b6570032100"), key);
      // R = the neutral element, s = 0: holds for the neutral key and every message.
      const signature = concat(fromHex(`01${"00".repeat(63)}`));
      expect(await crypto.verify("EdDSA", spki, signature, data)).toBe(false);
    }
  });

  test.each(signing)("%s keys of each are taken by the other", async (algorithm) => {
    for (const other of both) {
      const pkcs8 = await crypto.generatePrivateKey(algorithm);
      const here = await crypto.importSigner(algorithm, pkcs8);
      const there = await other.importSigner(algorithm, pkcs8);
      expect(there.publicKey).toEqual(here.publicKey);
      expect([here.algorithm, there.algorithm]).toEqual([algorithm, algorithm]);
      for (const signer of [here, there, await crypto.generateSigner(algorithm)]) {
        const signature = await signer.sign(data);
        for (const verifier of both) {
          expect(await verifier.verify(algorithm, signer.publicKey, signature, data)).toBe(true);
        }
      }
    }
  });

  test.each(signing)("%s: another kind of private key is refused", async (algorithm) => {
    for (const other of signing) {
      if (other === algorithm) continue;
      const pkcs8 = await crypto.generatePrivateKey(other);
      await expect(crypto.importSigner(algorithm, pkcs8)).rejects.toMatchObject({
        code: "malformed",
      });
    }
    for (const bad of [
      new Uint8Array(0),
      new Uint8Array(48),
      utf8("-----BEGIN PRIVATE KEY-----"),
    ]) {
      await expect(crypto.importSigner(algorithm, bad)).rejects.toMatchObject({
        code: "malformed",
      });
    }
  });

  test("signers do not show their keys", async () => {
    for (const algorithm of signing) {
      const signer = await crypto.generateSigner(algorithm);
      expect(Object.keys(signer).sort()).toEqual(["algorithm", "publicKey", "sign"]);
    }
  });
});

test("the table of small orders is noble's", () => {
  const small = (key: Uint8Array): boolean => {
    try {
      return ed25519.Point.fromBytes(key, true).isSmallOrder();
    } catch {
      return false;
    }
  };
  const prefix = fromHex("302a300506032b6570032100");
  let found = 0;
  for (const y of [
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    `00${"00".repeat(31)}`,
    `01${"00".repeat(31)}`,
    `ec${"ff".repeat(30)}7f`,
  ]) {
    for (const sign of [0, 0x80]) {
      const key = fromHex(y);
      key[31] = (key[31] as number) | sign;
      if (small(key)) found++;
      expect(keyOfSpki("EdDSA", concat(prefix, key))).toBeUndefined();
    }
  }
  expect(found).toBeGreaterThanOrEqual(8);
});
