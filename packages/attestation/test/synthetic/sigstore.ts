/** A Sigstore of one's own: an authority, two logs, and bundles as `cosign attest-blob` writes them. Node only. */
import { createHash } from "node:crypto";
import { type Crypto, concat, type Signer, u64, utf8 } from "@vivarium/core";
import { ecdsaDer, octets, oid, sequence, tlv } from "./der.ts";
import { type MadeCertificate, makeCertificate } from "./x509.ts";

export interface SyntheticSigstore {
  readonly trustRoot: Uint8Array;
  readonly issuer: string;
  readonly subject: string;
  /** By a certificate of the authority, or by a bare key. */
  bundle(statement: unknown, lies?: SigstoreLies): Promise<Uint8Array>;
}

export interface SigstoreLies {
  readonly key?: Signer;
  readonly noSct?: boolean;
  readonly noLog?: boolean;
  /** Signs the promise in the log's place. */
  readonly log?: Signer;
  /** What the log knows instead. */
  readonly logged?: unknown;
  readonly payloadType?: string;
  readonly authority?: MadeCertificate;
}

const hour = 3_600_000;
const sha256 = (data: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(data).digest());
const base64 = (data: Uint8Array): string => Buffer.from(data).toString("base64");
const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255);

export async function syntheticSigstore(crypto: Crypto, now: number): Promise<SyntheticSigstore> {
  const seconds = Math.floor(now / 1000) * 1000;
  const authority = await makeCertificate(crypto, seconds, { name: "authority", ca: true });
  const [rekor, ct] = [await crypto.generateSigner("ES256"), await crypto.generateSigner("ES256")];
  const issuer = "https://issuer.example";
  const subject = "https://build.example/acme/web/release.yml@refs/tags/v1.2";
  const start = new Date(seconds - 24 * hour).toISOString();
  const log = (signer: Signer) => ({
    ...{ baseUrl: "https://log.example", hashAlgorithm: "SHA2_256" },
    publicKey: {
      rawBytes: base64(signer.publicKey),
      ...{ keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor: { start } },
    },
    logId: { keyId: base64(sha256(signer.publicKey)) },
  });
  const trustRoot = {
    mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    tlogs: [log(rekor)],
    certificateAuthorities: [
      {
        subject: { organization: "acme", commonName: "authority" },
        uri: "https://ca.example",
        certChain: { certificates: [{ rawBytes: base64(authority.der) }] },
        validFor: { start },
      },
    ],
    ctlogs: [log(ct)],
    timestampAuthorities: [],
  };
  const leaf = async (signer: Signer, lies: SigstoreLies): Promise<Uint8Array> => {
    const plain: readonly (readonly [string, Uint8Array, boolean?])[] = [
      ["2.5.29.37", sequence(oid("1.3.6.1.5.5.7.3.3"))],
      ["2.5.29.17", sequence(tlv(0x86, utf8(subject))), true],
      ["1.3.6.1.4.1.57264.1.1", utf8(issuer)],
    ];
    const by = lies.authority ?? authority;
    const options = {
      ...{ name: "", issuer: by, signer, serial: 77 },
      ...{ notBefore: seconds - hour, notAfter: seconds + hour },
    };
    const before = await makeCertificate(crypto, seconds, { ...options, extensions: plain });
    if (lies.noSct === true) return before.der;
    // The whole certificate is SEQUENCE { tbs, … }: tbs begins after four bytes, with a length of two.
    const tbs = before.der.slice(4, 8 + ((before.der[6] ?? 0) << 8) + (before.der[7] ?? 0));
    const u24 = Uint8Array.of(tbs.length >> 16, (tbs.length >> 8) & 255, tbs.length & 255);
    const precert = concat(sha256(by.signer.publicKey), u24, tbs);
    const head = concat(u64(seconds), u16(1));
    const signed = concat(Uint8Array.of(0, 0), head, precert, u16(0));
    const signature = ecdsaDer(await ct.sign(signed));
    const sct = concat(
      ...[Uint8Array.of(0), sha256(ct.publicKey), u64(seconds), u16(0), Uint8Array.of(4, 3)],
      ...[u16(signature.length), signature],
    );
    const list = concat(u16(sct.length + 2), u16(sct.length), sct);
    const extensions = [...plain, ["1.3.6.1.4.1.11129.2.4.2", octets(list)] as const];
    return (await makeCertificate(crypto, seconds, { ...options, extensions })).der;
  };
  return {
    ...{ issuer, subject, trustRoot: utf8(JSON.stringify(trustRoot)) },
    async bundle(statement, lies = {}) {
      const type = lies.payloadType ?? "application/vnd.in-toto+json";
      const payload = utf8(JSON.stringify(statement));
      const signer = lies.key ?? (await crypto.generateSigner("ES256"));
      const head = utf8(`DSSEv1 ${type.length} ${type} ${payload.length} `);
      const signature = ecdsaDer(await signer.sign(concat(head, payload)));
      const known = lies.logged === undefined ? payload : utf8(JSON.stringify(lies.logged));
      const hash = { algorithm: "sha256", value: Buffer.from(sha256(known)).toString("hex") };
      const signatures = [{ signature: base64(signature), verifier: "" }];
      const body = utf8(
        JSON.stringify({
          ...{ apiVersion: "0.0.1", kind: "dsse" },
          spec: { envelopeHash: hash, payloadHash: hash, signatures },
        }),
      );
      const logID = sha256(rekor.publicKey);
      // RFC 8785: keys in order, no white space.
      const promise = JSON.stringify({
        ...{ body: base64(body), integratedTime: seconds / 1000 },
        ...{ logID: Buffer.from(logID).toString("hex"), logIndex: 7 },
      });
      const set = ecdsaDer(await (lies.log ?? rekor).sign(utf8(promise)));
      const entry = {
        ...{ logIndex: "7", logId: { keyId: base64(logID) } },
        ...{ kindVersion: { kind: "dsse", version: "0.0.1" }, integratedTime: `${seconds / 1000}` },
        ...{ inclusionPromise: { signedEntryTimestamp: base64(set) } },
        canonicalizedBody: base64(body),
      };
      const certificates =
        lies.key === undefined ? [{ rawBytes: base64(await leaf(signer, lies)) }] : undefined;
      const document = {
        mediaType: "application/vnd.dev.sigstore.bundle+json;version=0.1",
        verificationMaterial: {
          ...(certificates === undefined
            ? { publicKey: { hint: "a key" } }
            : { x509CertificateChain: { certificates } }),
          tlogEntries: lies.noLog === true ? [] : [entry],
        },
        dsseEnvelope: {
          ...{ payload: base64(payload), payloadType: type },
          signatures: [{ sig: base64(signature), keyid: "" }],
        },
      };
      return utf8(JSON.stringify(document));
    },
  };
}
