/** Manifests of a synthetic Sigstore: what a supply chain signs, and each way in which it may not have. */
import { fromUtf8, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { AttestationError } from "../src/index.ts";
import {
  isManifest,
  type ManifestSigner,
  referencePredicate,
  referencesOfManifest,
  verifyManifest,
} from "../src/provenance/index.ts";
import type { ReferenceRecord } from "../src/reference/index.ts";
import { now } from "./simulated-subject.ts";
import {
  type SigstoreLies,
  type SyntheticSigstore,
  syntheticSigstore,
} from "./synthetic/sigstore.ts";
import { makeCertificate } from "./synthetic/x509.ts";

const crypto = nodeCrypto();
const record: ReferenceRecord = {
  ...{ name: "web 1.2", type: "snp", minimumSvn: {} },
  measurements: { measurement: ["ab".repeat(48)] },
  origin: { how: "computed", at: "2026-06-01T00:00:00.000Z", sources: [] },
};
const statement = {
  _type: "https://in-toto.io/Statement/v1",
  subject: [{ name: "OVMF.fd", digest: { sha256: "cd".repeat(32) } }],
  predicateType: referencePredicate,
  predicate: { version: 1, references: [record] },
};

let sigstore: SyntheticSigstore;
let named: ManifestSigner;
beforeAll(async () => {
  sigstore = await syntheticSigstore(crypto, now);
  named = { kind: "identity", issuer: sigstore.issuer, subject: sigstore.subject };
});

async function codeOf(
  bytes: Uint8Array,
  signer: ManifestSigner = named,
  trustRoot = sigstore.trustRoot,
) {
  try {
    referencesOfManifest(await verifyManifest(bytes, { trustRoot, signer }));
    return "accepted";
  } catch (error) {
    return error instanceof AttestationError ? error.code : `other: ${String(error)}`;
  }
}

describe("a manifest", () => {
  test("gives the references that the named workflow has signed, with what they are of", async () => {
    const bytes = await sigstore.bundle(statement);
    expect(isManifest(bytes)).toBe(true);
    const verified = await verifyManifest(bytes, { trustRoot: sigstore.trustRoot, signer: named });
    expect(verified.signer).toBe(`${sigstore.subject} (${sigstore.issuer})`);
    const [reference] = referencesOfManifest(verified);
    expect(reference?.measurements).toEqual(record.measurements);
    expect(reference?.origin).toEqual({
      ...{ how: "imported", at: record.origin.at },
      sources: [{ name: "OVMF.fd", sha256: "cd".repeat(32) }],
    });
  });

  test("counts for the named workflow and issuer alone, whole", async () => {
    const bytes = await sigstore.bundle(statement);
    const { subject, issuer } = sigstore;
    const others: readonly ManifestSigner[] = [
      { kind: "identity", issuer, subject: `${subject}0` },
      { kind: "identity", issuer, subject: subject.slice(1) },
      { kind: "identity", issuer, subject: ".*" },
      // A pattern whose dots match: the library itself would take it.
      { kind: "identity", issuer, subject: subject.replace("build.example", "build.exampl.") },
      { kind: "identity", issuer: "https://other.example", subject },
      { kind: "key", key: (await crypto.generateSigner("ES256")).publicKey },
    ];
    for (const other of others) expect(await codeOf(bytes, other)).toBe("not-genuine");
  });

  test("of a bare key counts under that key alone", async () => {
    const key = await crypto.generateSigner("ES256");
    const bytes = await sigstore.bundle(statement, { key });
    expect(await codeOf(bytes, { kind: "key", key: key.publicKey })).toBe("accepted");
    expect(await codeOf(bytes)).toBe("not-genuine");
    const { publicKey } = await crypto.generateSigner("ES256");
    expect(await codeOf(bytes, { kind: "key", key: publicKey })).toBe("not-genuine");
  });

  test.each<readonly [string, () => Promise<SigstoreLies>]>([
    ["that no log of certificates knows of", async () => ({ noSct: true })],
    ["that no transparency log knows of", async () => ({ noLog: true })],
    [
      "with the promise of another log",
      async () => ({ log: await crypto.generateSigner("ES256") }),
    ],
    ["of which the log knows another", async () => ({ logged: { ...statement, subject: [] } })],
    [
      "under another authority of the same name",
      async () => ({
        authority: await makeCertificate(crypto, now, { name: "authority", ca: true }),
      }),
    ],
  ])("%s is refused", async (_name, lies) => {
    expect(await codeOf(await sigstore.bundle(statement, await lies()))).toBe("not-genuine");
  });

  test("whose content was changed after signing is refused", async () => {
    const bundle = JSON.parse(fromUtf8(await sigstore.bundle(statement))) as {
      dsseEnvelope: { payload: string };
    };
    const forged = { ...statement, subject: [{ name: "x", digest: { sha256: "ef".repeat(32) } }] };
    bundle.dsseEnvelope.payload = Buffer.from(JSON.stringify(forged)).toString("base64");
    expect(await codeOf(utf8(JSON.stringify(bundle)))).toBe("not-genuine");
  });

  test("under another trust root, or none, is refused", async () => {
    const bytes = await sigstore.bundle(statement);
    const other = await syntheticSigstore(crypto, now);
    expect(await codeOf(bytes, named, other.trustRoot)).toBe("not-genuine");
    for (const root of ["", "{", "[]"]) {
      expect(await codeOf(bytes, named, utf8(root))).toBe("malformed");
    }
    for (const root of ["{}", '{"tlogs":3}']) {
      expect(await codeOf(bytes, named, utf8(root))).toBe("not-genuine");
    }
  });

  test.each([
    ["another predicate", { ...statement, predicateType: "https://slsa.dev/provenance/v1" }],
    ["another statement", { ...statement, _type: "https://in-toto.io/Statement/v0.1" }],
    ["no subject", { ...statement, subject: [] }],
    ["a subject without digest", { ...statement, subject: [{ name: "x" }] }],
    ["no reference", { ...statement, predicate: { version: 1, references: [] } }],
    ["a reference of another form", { ...statement, predicate: { ...record } }],
  ])("of %s is refused, however well it is signed", async (_name, signed) => {
    expect(await codeOf(await sigstore.bundle(signed))).toBe("malformed");
  });

  test("in another payload type is refused", async () => {
    const bytes = await sigstore.bundle(statement, { payloadType: "text/plain" });
    expect(await codeOf(bytes)).toBe("malformed");
  });

  test("is refused as an error of ours, whatever is cut or changed", async () => {
    const bytes = await sigstore.bundle(statement);
    for (let at = 0; at < bytes.length; at += 41) {
      expect(await codeOf(bytes.slice(0, at))).toMatch(/^(malformed|not-genuine)$/);
      const copy = new Uint8Array(bytes);
      copy[at] = (copy[at] as number) ^ 0x11;
      expect(await codeOf(copy), `byte ${at}`).toMatch(/^(accepted|malformed|not-genuine)$/);
    }
    expect(isManifest(utf8("{}"))).toBe(false);
  });
});
