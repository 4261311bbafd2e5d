/** Tokens of other services: real ones of trustee, synthetic ones of each, and every way to forge them. */
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import { type Signer, toBase64Url, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { webCrypto } from "@vivarium/core/web";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AttestationError, decodePem } from "../src/index.ts";
import {
  looksLikeToken,
  type TokenIssuer,
  type TokenKind,
  tokenKindOf,
  verifyToken,
} from "../src/tokens/index.ts";
import { type MadeCertificate, makeCertificate } from "./synthetic/x509.ts";
import { hasVectors, vectorsPath } from "./vectors.ts";

const crypto = nodeCrypto();
const now = Date.UTC(2026, 5, 1);
const seconds = now / 1000;

const part = (value: unknown): string => toBase64Url(utf8(JSON.stringify(value)));
const signed = async (signer: Signer, payload: object, header: object = {}): Promise<string> => {
  const input = `${part({ alg: signer.algorithm, typ: "JWT", ...header })}.${part(payload)}`;
  return `${input}.${toBase64Url(await signer.sign(utf8(input)))}`;
};
const jwkOf = (signer: Signer, more: object = {}) => ({
  ...createPublicKey({ key: Buffer.from(signer.publicKey), format: "der", type: "spki" }).export({
    format: "jwk",
  }),
  ...more,
});

const vector = { configuration: 2, executables: 3, "file-system": 0, hardware: 2 };
const ear = (more: object = {}, cpu: object = {}) => ({
  eat_profile: "tag:github.com,2024:confidential-containers/Trustee",
  iat: seconds - 10,
  exp: seconds + 290,
  submods: {
    cpu0: {
      "ear.status": "affirming",
      "ear.trustworthiness-vector": vector,
      "ear.veraison.annotated-evidence": { report_data: "AB".repeat(64), tdx: {} },
      ...cpu,
    },
  },
  ...more,
});

const signer = await crypto.generateSigner("ES256");
const issuers: readonly TokenIssuer[] = [{ kind: "trustee-ear", jwks: { keys: [jwkOf(signer)] } }];
const verify = (token: string, more: Partial<Parameters<typeof verifyToken>[1]> = {}) =>
  verifyToken(token, { issuers, crypto, now, ...more });

/** An RSA signer: the services that use RSA are synthetic here. */
function rsaToken(alg: string, payload: object): { token: string; jwks: unknown } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const input = `${part({ alg, typ: "JWT", kid: "k1" })}.${part(payload)}`;
  const pss = alg.startsWith("PS") ? { padding: 6, saltLength: -1 } : {};
  const signature = sign(`sha${alg.slice(2)}`, Buffer.from(input), { key: privateKey, ...pss });
  const keys = [{ ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig" }];
  return { token: `${input}.${toBase64Url(signature)}`, jwks: { keys } };
}

describe.skipIf(!hasVectors)("real tokens of trustee", () => {
  test.each([
    ["ear", "trustee-ear", 1_768_895_800, ["cpu0"]],
    ["ear_with_additional_device", "trustee-ear", 1_770_207_400, ["cpu0", "gpu0"]],
    ["simple", "trustee-simple", 1_768_806_100, ["cpu0"]],
  ] as const)(
    "%s verifies under its service's CA, and under no other",
    async (name, kind, at, submodules) => {
      const read = (file: string): string => readFileSync(vectorsPath("ear-tng", file), "utf8");
      const token = read(`${name}.jwt`).trim();
      const anchors = decodePem("CA", read(`${name}.as-ca.pem`));
      const pinned: TokenIssuer = { kind, anchors };
      for (const each of [crypto, webCrypto()]) {
        const options = { issuers: [pinned], crypto: each, now: at * 1000 };
        const verified = await verifyToken(token, options);
        expect(verified).toMatchObject({ kind, accepted: true, triedOnRealTokens: true });
        expect(verified.submodules.map((submodule) => submodule.name)).toEqual(submodules);
        expect(verified.submodules[0]).toMatchObject({
          tee: "tdx",
          reportData: expect.stringMatching(/^[0-9a-f]{128}$/),
        });
      }
      const other = name === "ear" ? "simple" : "ear";
      const strangers = decodePem("CA", read(`${other}.as-ca.pem`));
      const refused = verifyToken(token, {
        issuers: [{ kind, anchors: strangers }],
        crypto,
        now: at * 1000,
      });
      await expect(refused).rejects.toMatchObject({ code: "not-genuine" });
      const late = verifyToken(token, { issuers: [pinned], crypto, now: (at + 600) * 1000 });
      await expect(late).rejects.toMatchObject({ code: "expired" });
      // The key in the header is the very one that signed; it is not pinned, so it counts for nothing.
      const unpinned = verifyToken(token, { issuers: [{ kind }], crypto, now: at * 1000 });
      await expect(unpinned).rejects.toMatchObject({ code: "not-genuine" });
    },
  );

  test("has no byte that can be changed", async () => {
    const token = readFileSync(vectorsPath("ear-tng", "ear.jwt"), "utf8").trim();
    const anchors = decodePem("CA", readFileSync(vectorsPath("ear-tng", "ear.as-ca.pem")));
    const options = {
      issuers: [{ kind: "trustee-ear", anchors }] as const,
      crypto,
      now: 1_768_895_800_000,
    };
    for (let i = 0; i < token.length; i += 211) {
      const changed = `${token.slice(0, i)}${token[i] === "A" ? "B" : "A"}${token.slice(i + 1)}`;
      await expect(verifyToken(changed, options)).rejects.toBeInstanceOf(AttestationError);
    }
  });

  test.each(["ear_cca.good", "ear_cca.freshness-fail", "ear_cca.end-to-end"])(
    "Veraison's %s",
    async (name) => {
      const submods = JSON.parse(
        readFileSync(vectorsPath("cca/veraison-services", `${name}.json`), "utf8"),
      );
      const token = await signed(signer, {
        ...{ eat_profile: "tag:github.com,2023:veraison/ear", iat: seconds, exp: seconds + 60 },
        submods,
      });
      const verified = await verify(token, {
        issuers: [{ kind: "veraison-ear", jwks: jwkOf(signer) }],
      });
      const said = Object.values(submods as Record<string, Record<string, string>>);
      expect(verified.accepted).toBe(said.every((one) => one["ear.status"] === "affirming"));
    },
  );
});

describe("an EAR", () => {
  test("is accepted if every attester affirms", async () => {
    const verified = await verify(await signed(signer, ear()));
    expect(verified).toMatchObject({
      accepted: true,
      kind: "trustee-ear",
      notAfter: now + 290_000,
    });
    expect(verified.findings.every(({ ok }) => ok)).toBe(true);
  });

  test.each<[string, object]>([
    ["a warning", { "ear.status": "warning" }],
    ["none", { "ear.status": "none" }],
    ["a status that does not exist", { "ear.status": "fine" }],
    ["no status", { "ear.status": undefined }],
    [
      "affirming over a contraindicated value",
      { "ear.trustworthiness-vector": { ...vector, hardware: 97 } },
    ],
    ["affirming over a warning", { "ear.trustworthiness-vector": { ...vector, executables: 33 } }],
    [
      "affirming over a negative tier",
      { "ear.trustworthiness-vector": { ...vector, hardware: -97 } },
    ],
    ["affirming over text", { "ear.trustworthiness-vector": { ...vector, hardware: "2" } }],
  ])("that says %s is genuine and not accepted", async (_, cpu) => {
    const verified = await verify(await signed(signer, ear({}, cpu)));
    expect(verified.accepted).toBe(false);
    expect(verified.findings.some(({ ok }) => !ok)).toBe(true);
  });

  test("of two attesters counts by the worse", async () => {
    const { submods } = ear();
    const gpu = { ...submods.cpu0, "ear.status": "contraindicated" };
    const token = await signed(signer, ear({ submods: { ...submods, gpu0: gpu } }));
    expect((await verify(token)).accepted).toBe(false);
  });

  test("without attesters says nothing", async () => {
    for (const submods of [{}, undefined, [], "cpu0"]) {
      expect((await verify(await signed(signer, ear({ submods })))).accepted).toBe(false);
    }
  });

  test("is held to report data, nonce and audience", async () => {
    const token = await signed(signer, ear({ eat_nonce: "n1", aud: "us" }));
    const whole = new Uint8Array(64).fill(0xab);
    const good = { nonce: "n1", audience: "us", reportData: whole };
    expect((await verify(token, good)).accepted).toBe(true);
    expect((await verify(token, { reportData: whole.subarray(0, 32) })).accepted).toBe(false);
    expect((await verify(token, { reportData: new Uint8Array(0) })).accepted).toBe(false);
    await expect(verify(token, { nonce: "n2" })).rejects.toMatchObject({ code: "not-genuine" });
    await expect(verify(token, { nonce: "" })).rejects.toMatchObject({ code: "not-genuine" });
    await expect(verify(token, { audience: "them" })).rejects.toMatchObject({
      code: "not-genuine",
    });
    const several = await signed(signer, ear({ aud: ["us", "them"] }));
    await expect(verify(several, { audience: "us" })).rejects.toThrow(/token.audience/);
  });

  test.each<[string, object, string]>([
    ["past", { exp: seconds }, "expired"],
    ["without an end", { exp: undefined }, "malformed"],
    ["with an end that is text", { exp: `${seconds + 60}` }, "malformed"],
    ["from the future", { iat: seconds + 3_600 }, "expired"],
    ["not yet valid", { nbf: seconds + 3_600 }, "expired"],
    ["with a start that is text", { nbf: "now" }, "expired"],
  ])("%s is refused", async (_, claims, code) => {
    await expect(verify(await signed(signer, ear(claims)))).rejects.toMatchObject({ code });
  });

  test.each<[string, object]>([
    ["asks for more by crit", { crit: ["exp"] }],
    ["is not base64url by b64", { b64: false }],
    ["is compressed", { zip: "DEF" }],
    ["is of another type", { typ: "JWE" }],
    ["holds no certificates in x5c", { x5c: "MIIB" }],
    ["holds too many", { x5c: Array.from({ length: 9 }, () => "AAAA") }],
  ])("whose header %s is refused", async (_, header) => {
    await expect(verify(await signed(signer, ear(), header))).rejects.toMatchObject({
      code: "malformed",
    });
  });

  test("of another key, algorithm or service is refused", async () => {
    const other = await crypto.generateSigner("ES256");
    // With its own key in the header: whoever believes a header accepts everything.
    const forged = await signed(other, ear(), {
      jwk: jwkOf(other),
      jku: "https://attacker.example/jwks",
    });
    await expect(verify(forged)).rejects.toMatchObject({ code: "not-genuine" });
    const kid = await signed(other, ear(), { kid: "trustee" });
    await expect(verify(kid)).rejects.toMatchObject({ code: "not-genuine" });
    const [, payload] = (await signed(signer, ear())).split(".");
    for (const alg of ["none", "None", "HS256", "ES256K", "RS384", ""]) {
      const token = `${part({ alg, typ: "JWT" })}.${payload}.${alg === "none" ? "" : toBase64Url(new Uint8Array(64))}`;
      await expect(verify(token)).rejects.toMatchObject({ domain: "attestation" });
    }
    // Genuine, and of a service that is not the one whose key this is.
    const kind = await signed(signer, {
      ...ear(),
      eat_profile: "tag:github.com,2023:veraison/ear",
    });
    await expect(verify(kind)).rejects.toMatchObject({ code: "unknown-type" });
    await expect(verify(await signed(signer, { sub: "me" }))).rejects.toMatchObject({
      code: "unknown-type",
    });
  });

  test("finds its key by kid among several, and each is tried without", async () => {
    const second = await crypto.generateSigner("ES384");
    const keys = [
      jwkOf(second, { kid: "b" }),
      jwkOf(signer, { kid: "a" }),
      { kty: "oct", k: "AAAA" },
    ];
    const pinned: readonly TokenIssuer[] = [{ kind: "trustee-ear", jwks: { keys } }];
    for (const header of [{ kid: "a" }, {}]) {
      expect(
        (await verify(await signed(signer, ear(), header), { issuers: pinned })).accepted,
      ).toBe(true);
    }
    const wrong = await signed(signer, ear(), { kid: "b" });
    await expect(verify(wrong, { issuers: pinned })).rejects.toMatchObject({ code: "not-genuine" });
    expect((await verify(await signed(second, ear()), { issuers: pinned })).accepted).toBe(true);
  });

  test.each<[string, object]>([
    ["a private key", { kty: "EC", crv: "P-256", d: "AA", x: "AA", y: "AA" }],
    ["a point of another length", { kty: "EC", crv: "P-256", x: "AA", y: "AA" }],
    ["a short RSA key", { kty: "RSA", e: "AQAB", n: "AAAA" }],
    ["another exponent", { kty: "RSA", e: "Aw", n: "AAAA" }],
  ])("under a key set with %s is an error", async (_, jwk) => {
    const pinned: readonly TokenIssuer[] = [{ kind: "trustee-ear", jwks: { keys: [jwk] } }];
    const refused = verify(await signed(signer, ear()), { issuers: pinned });
    await expect(refused).rejects.toMatchObject({ code: "malformed" });
  });
});

describe("certificates in a header", () => {
  const make = (options: Parameters<typeof makeCertificate>[2]) =>
    makeCertificate(crypto, now, options);
  const x5c = (...chain: readonly MadeCertificate[]) => ({
    x5c: chain.map(({ der }) => Buffer.from(der).toString("base64")),
  });

  test("count if they lead to a pinned authority", async () => {
    const root = await make({ name: "AS CA", ca: true });
    const middle = await make({ name: "AS CA 2", ca: true, issuer: root });
    const leaf = await make({ name: "AS", issuer: middle });
    const pinned: readonly TokenIssuer[] = [{ kind: "trustee-ear", anchors: [root.der] }];
    const good = await signed(leaf.signer, ear(), x5c(leaf, middle));
    const verified = await verify(good, { issuers: pinned });
    expect(verified.accepted).toBe(true);
    expect(verified.root).toMatch(/^sha256:/);

    const refused = async (token: string, code = "not-genuine") =>
      await expect(verify(token, { issuers: pinned })).rejects.toMatchObject({ code });
    // Signed by another key than the leaf's; by the authority's own; by a chain of nobody; not at all.
    await refused(await signed(signer, ear(), x5c(leaf, middle)));
    await refused(await signed(middle.signer, ear(), x5c(middle)));
    const stranger = await make({ name: "AS CA", ca: true });
    const other = await make({ name: "AS", issuer: stranger });
    await refused(await signed(other.signer, ear(), x5c(other, stranger)));
    await refused(await signed(leaf.signer, ear()));
    const old = await make({ name: "AS", issuer: root, notAfter: now - 1 });
    await refused(await signed(old.signer, ear(), x5c(old)), "expired");
    const encrypts = await make({ name: "AS", issuer: root, keyUsage: "03020520" });
    await refused(await signed(encrypts.signer, ear(), x5c(encrypts)));
    const sub = await make({ name: "AS", issuer: leaf });
    await refused(await signed(sub.signer, ear(), x5c(sub, leaf, middle)));
  });
});

describe("services no real token of which was at hand", () => {
  const ita = {
    ...{ iss: "Intel Trust Authority", iat: seconds, exp: seconds + 300, attester_type: "TDX" },
    ...{
      attester_tcb_status: "UpToDate",
      tdx_is_debuggable: false,
      tdx_report_data: "cd".repeat(64),
    },
    policy_ids_matched: [],
  };
  const maa = {
    ...{ iss: "https://x.attest.azure.net", iat: seconds, nbf: seconds, exp: seconds + 300 },
    "x-ms-attestation-type": "azurevm",
    "x-ms-isolation-tee": {
      "x-ms-attestation-type": "sevsnpvm",
      "x-ms-compliance-status": "azure-compliant-cvm",
      "x-ms-sevsnpvm-is-debuggable": false,
      "x-ms-sevsnpvm-reportdata": "ef".repeat(64),
    },
  };
  const cases: readonly [TokenKind, string, { iss: string }, string][] = [
    ["ita", "PS384", ita, "tdx"],
    ["ita", "RS256", { ...ita, iss: "Intel Trust Authority EU" }, "tdx"],
    ["maa", "RS256", maa, "snp"],
  ];

  test.each(cases)("%s with %s", async (kind, alg, payload, tee) => {
    const { token, jwks } = rsaToken(alg, payload);
    const pinned = [{ kind, jwks, issuer: payload.iss }];
    const verified = await verify(token, { issuers: pinned });
    expect(verified).toMatchObject({ accepted: true, triedOnRealTokens: false, kind });
    expect(verified.submodules[0]?.tee).toBe(tee);
    // Every tenant of a service signs with the same keys: which one it is must be named.
    await expect(verify(token, { issuers: [{ kind, jwks }] })).rejects.toThrow(/token.issuer/);
    const other = [{ kind, jwks, issuer: "https://attacker.attest.azure.net" }];
    await expect(verify(token, { issuers: other })).rejects.toThrow(/token.issuer/);
  });

  test.each<[TokenKind, string, object]>([
    ["ita", "PS384", { ...ita, attester_tcb_status: "OutOfDate" }],
    ["ita", "PS384", { ...ita, tdx_is_debuggable: true }],
    ["ita", "PS384", { ...ita, tdx_is_debuggable: undefined }],
    ["ita", "PS384", { ...ita, policy_ids_unmatched: [{ id: "p" }] }],
    [
      "maa",
      "RS256",
      {
        ...maa,
        "x-ms-isolation-tee": { ...maa["x-ms-isolation-tee"], "x-ms-sevsnpvm-is-debuggable": true },
      },
    ],
    [
      "maa",
      "RS256",
      {
        ...maa,
        "x-ms-isolation-tee": { ...maa["x-ms-isolation-tee"], "x-ms-compliance-status": "unknown" },
      },
    ],
    ["maa", "RS256", { ...maa, "x-ms-isolation-tee": undefined }],
  ])("%s %s that says less is not accepted: %#", async (kind, alg, payload) => {
    const { token, jwks } = rsaToken(alg, payload);
    const issuer = (payload as { iss: string }).iss;
    expect((await verify(token, { issuers: [{ kind, jwks, issuer }] })).accepted).toBe(false);
  });

  test("an algorithm that the service does not use is refused", async () => {
    const { token, jwks } = rsaToken("PS384", maa);
    const refused = verify(token, { issuers: [{ kind: "maa", jwks, issuer: maa.iss }] });
    await expect(refused).rejects.toThrow(/token.algorithm/);
  });
});

describe("rubbish", () => {
  test("never gets past its form", async () => {
    const piece = fc.oneof(
      fc.string(),
      fc.json().map((text) => toBase64Url(utf8(text))),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 4 }), async (pieces) => {
        const token = pieces.join(".");
        looksLikeToken(token);
        await expect(verify(token)).rejects.toBeInstanceOf(AttestationError);
        expect(() => tokenKindOf(token)).toSatisfy((call: () => unknown) => {
          try {
            call();
            return true;
          } catch (error) {
            return error instanceof AttestationError;
          }
        });
      }),
      { numRuns: 300 },
    );
  });

  test("of any depth and size costs no more than an error", async () => {
    const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
    const head = part({ alg: "ES256" });
    await expect(
      verify(`${head}.${toBase64Url(utf8(`{"a":${deep}}`))}.AAAA`),
    ).rejects.toMatchObject({ code: "malformed" });
    await expect(verify("a".repeat(2_000_000))).rejects.toMatchObject({ code: "malformed" });
  });
});
