/**
 * Signed manifests: in-toto attestations in DSSE envelopes, in Sigstore's bundles. What was signed, by whom, and
 * that a transparency log knows of it. Node only: `@sigstore/verify` needs `node:crypto`. Nothing is fetched;
 * the trust root is an input.
 */
import { createPublicKey } from "node:crypto";
import { type Bundle, bundleFromJSON, isBundleWithDsseEnvelope } from "@sigstore/bundle";
import { TrustedRoot } from "@sigstore/protobuf-specs";
import { type Signer, toSignedEntity, toTrustMaterial, Verifier } from "@sigstore/verify";
import { nodeCrypto } from "@vivarium/core/node";
import { AttestationError } from "../errors.ts";
import { fieldOf, isObject, type Json, type JsonObject } from "../forms/encoding.ts";
import { fingerprint } from "../keys.ts";
import { textOfBytes } from "../reader.ts";

/** Who must have signed. */
export type ManifestSigner =
  | {
      /** A workflow or person, as Fulcio's certificates name them; compared whole, never as a pattern. */
      readonly kind: "identity";
      /** URL of the OpenID issuer. */
      readonly issuer: string;
      /** Subject alternative name: the workflow's URL, or an e-mail address. */
      readonly subject: string;
    }
  | {
      readonly kind: "key";
      /** SPKI DER. */
      readonly key: Uint8Array;
    };

export interface VerifyManifestOptions {
  /** Sigstore's `trusted_root.json`: authorities and logs that count. */
  readonly trustRoot: Uint8Array;
  readonly signer: ManifestSigner;
}

export interface VerifiedManifest {
  readonly predicateType: string;
  readonly predicate: Json;
  /** What the manifest is about, by SHA-256. */
  readonly subjects: readonly { readonly name: string; readonly sha256: string }[];
  /** For people: the identity, or the key's fingerprint. */
  readonly signer: string;
}

export const manifestLimits = { bytes: 4_194_304, subjects: 64 } as const;

const statementType = "https://in-toto.io/Statement/v1";
const payloadType = "application/vnd.in-toto+json";
const bundleType = "application/vnd.dev.sigstore.bundle";

/** True for the JSON of a Sigstore bundle. */
export function isManifest(bytes: Uint8Array): boolean {
  try {
    const document = JSON.parse(textOfBytes("Manifest", bytes)) as Json;
    const type = isObject(document) ? fieldOf(document, "mediaType") : undefined;
    return typeof type === "string" && type.startsWith(bundleType);
  } catch {
    return false;
  }
}

/**
 * @throws AttestationError `malformed`; `not-genuine` for a manifest that does not verify, that no log of the trust
 * root knows of, or that somebody else has signed.
 */
export async function verifyManifest(
  bytes: Uint8Array,
  options: VerifyManifestOptions,
): Promise<VerifiedManifest> {
  const bundle = bundleOf(bytes);
  const root = trustRootOf(options.trustRoot);
  const { signer } = options;
  if (!isBundleWithDsseEnvelope(bundle)) fail("malformed", "holds no DSSE envelope");
  const { payload, payloadType: type } = bundle.content.dsseEnvelope;
  const byKey = bundle.verificationMaterial.content.$case === "publicKey";
  if (byKey !== (signer.kind === "key")) {
    fail(
      "not-genuine",
      `is signed by ${byKey ? "a bare key" : "a certificate"}, which was not named`,
    );
  }
  const who = verified(bundle, root, signer);
  if (type !== payloadType) fail("malformed", `holds no in-toto statement`);
  return { ...statementOf(payload), signer: await nameOf(signer, who) };
}

function verified(bundle: Bundle, root: TrustedRoot, signer: ManifestSigner): Signer {
  const keys =
    signer.kind === "key"
      ? () => ({
          publicKey: createPublicKey({ key: Buffer.from(signer.key), format: "der", type: "spki" }),
          validFor: () => true,
        })
      : {};
  try {
    const verifier = new Verifier(toTrustMaterial(root, keys), {
      ...{ tlogThreshold: 1, ctlogThreshold: 1, timestampThreshold: 1 },
    });
    return verifier.verify(toSignedEntity(bundle));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.slice(0, 200) : "unknown";
    const message = `The manifest does not verify: ${reason}.`;
    throw new AttestationError("not-genuine", message, { cause });
  }
}

/** The library takes a wanted name for a pattern, in which dots match anything: whole names are compared here. */
async function nameOf(signer: ManifestSigner, { identity }: Signer): Promise<string> {
  if (signer.kind === "key") return await fingerprint(nodeCrypto(), signer.key);
  const subject = identity?.subjectAlternativeName;
  const issuer = identity?.extensions?.issuer;
  if (subject === undefined || subject !== signer.subject || issuer !== signer.issuer) {
    fail("not-genuine", `is of ${subject ?? "nobody"} by ${issuer ?? "no issuer"}`);
  }
  return `${subject} (${issuer})`;
}

function bundleOf(bytes: Uint8Array): Bundle {
  const document = jsonOf("manifest", bytes);
  try {
    return bundleFromJSON(document);
  } catch (cause) {
    throw new AttestationError("malformed", "The manifest is no bundle of Sigstore's.", { cause });
  }
}

function trustRootOf(bytes: Uint8Array): TrustedRoot {
  const document = jsonOf("trust root", bytes);
  try {
    return TrustedRoot.fromJSON(document);
  } catch (cause) {
    throw new AttestationError("malformed", "The trust root is none of Sigstore's.", { cause });
  }
}

function jsonOf(what: string, bytes: Uint8Array): JsonObject {
  let document: Json | undefined;
  if (bytes.length > manifestLimits.bytes) {
    throw new AttestationError("malformed", `The ${what} is over ${manifestLimits.bytes} bytes.`);
  }
  try {
    document = JSON.parse(textOfBytes(what, bytes)) as Json;
  } catch (cause) {
    throw new AttestationError("malformed", `The ${what} is not JSON.`, { cause });
  }
  if (isObject(document)) return document;
  throw new AttestationError("malformed", `The ${what} is no JSON object.`);
}

function statementOf(payload: Uint8Array): Omit<VerifiedManifest, "signer"> {
  const statement = jsonOf("statement of the manifest", new Uint8Array(payload));
  if (fieldOf(statement, "_type") !== statementType) {
    fail("malformed", `is no in-toto statement of version 1`);
  }
  const predicateType = fieldOf(statement, "predicateType");
  const predicate = fieldOf(statement, "predicate");
  const subjects = fieldOf(statement, "subject");
  if (typeof predicateType !== "string" || predicate === undefined || !Array.isArray(subjects)) {
    fail("malformed", "lacks a predicate or subjects");
  }
  if (subjects.length === 0 || subjects.length > manifestLimits.subjects) {
    fail("malformed", `is not about 1 to ${manifestLimits.subjects} subjects`);
  }
  return { predicateType, predicate, subjects: (subjects as readonly Json[]).map(subjectOf) };
}

function subjectOf(subject: Json): { readonly name: string; readonly sha256: string } {
  const fields = isObject(subject) ? subject : fail("malformed", "has a subject that is none");
  const digest = fieldOf(fields, "digest");
  const name = fieldOf(fields, "name");
  const sha256 = isObject(digest) ? fieldOf(digest, "sha256") : undefined;
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    fail("malformed", "has a subject without a SHA-256");
  }
  return { name: typeof name === "string" ? name.slice(0, 200) : "", sha256 };
}

function fail(code: "malformed" | "not-genuine", reason: string): never {
  throw new AttestationError(code, `The manifest ${reason}.`);
}
