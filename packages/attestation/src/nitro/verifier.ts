/**
 * AWS Nitro Enclaves attestation documents. Source: aws-nitro-enclaves-nsm-api,
 * docs/attestation_process.md. The leaf lives three hours: stored documents are verified as of the
 * time they were made.
 */
import { equalBytes, toHex } from "@vivarium/core";
import { arrayOf, bytesOf, type CborValue, integerOf, textOf } from "../cbor.ts";
import { decodeTolerant } from "../cbor-tolerant.ts";
import { type CoseSign1, parseCoseSign1, verifyCoseSign1 } from "../cose.ts";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { examine } from "../examination.ts";
import { fingerprint } from "../keys.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { verifyChain } from "../x509/chain.ts";
import { decodePem } from "../x509/pem.ts";
import { nitroRoot } from "./root.ts";

export interface NitroVerifierOptions {
  /** DER of roots to trust instead of AWS's, for test PKIs. A policy must then name the root. */
  readonly anchors?: readonly Uint8Array[];
}

export interface NitroDocument {
  readonly message: CoseSign1;
  readonly moduleId: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** By index; 48 bytes each with SHA-384. */
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER, root first. */
  readonly bundle: readonly Uint8Array[];
  readonly publicKey: Uint8Array | undefined;
  readonly userData: Uint8Array | undefined;
  readonly nonce: Uint8Array | undefined;
}

const clause = "AWS Nitro attestation process, 3.2";
const maxBytes = 64 * 1024;
const limits = { maxBytes, maxDepth: 3, maxValues: 256 };
/** Measured by the NSM: image, kernel, application, role, instance, signer. */
const pinnedPcrs = [0, 1, 2, 3, 4, 8] as const;

/** Runs in Node and browsers. The document brings its chain; the root is pinned. */
export function nitroVerifier(options: NitroVerifierOptions = {}): Verifier {
  const anchors = options.anchors ?? decodePem("AWS Nitro root", nitroRoot);
  return {
    type: "nitro",
    pins: [["pcr0"], ["pcr8"]],
    needsRoot: options.anchors !== undefined,
    read: (evidence) => ({ nitro: claimsOf(documentOf(evidence)) }),
    verify: (evidence, context) => verify(evidence, context, anchors),
  };
}

function documentOf(evidence: Evidence): NitroDocument {
  if (evidence.type !== "nitro") {
    throw new AttestationError("unknown-type", "This verifier reads Nitro evidence only.");
  }
  if (Object.keys(evidence.attachments).length > 0) {
    throw new AttestationError("malformed", "Nitro evidence has no attachments.");
  }
  return parseNitroDocument(evidence.bytes);
}

/** @throws AttestationError `malformed`. */
export function parseNitroDocument(bytes: Uint8Array): NitroDocument {
  const message = parseCoseSign1("Nitro document", bytes);
  const fields = decodeTolerant("Nitro document", message.payload, limits);
  if (!(fields instanceof Map)) throw malformed("is not a map");
  const optional = (name: string, max: number): Uint8Array | undefined => {
    const value: CborValue | undefined = fields.get(name);
    return value === undefined || value === null
      ? undefined
      : bytesOf(`Nitro ${name}`, value, 0, max);
  };
  if (fields.get("digest") !== "SHA384") throw malformed("has another digest than SHA384");
  return {
    message,
    moduleId: textOf("Nitro module id", fields.get("module_id"), /^[\x21-\x7e]{1,256}$/),
    timestamp: integerOf("Nitro timestamp", fields.get("timestamp"), 1, 8.64e15),
    pcrs: pcrsOf(fields.get("pcrs")),
    certificate: bytesOf("Nitro certificate", fields.get("certificate"), 1, 4096),
    bundle: arrayOf("Nitro cabundle", fields.get("cabundle"), 8).map((der) =>
      bytesOf("Nitro cabundle", der, 1, 4096),
    ),
    publicKey: optional("public_key", 1024),
    userData: optional("user_data", 1024),
    nonce: optional("nonce", 1024),
  };
}

function pcrsOf(value: CborValue | undefined): ReadonlyMap<number, Uint8Array> {
  if (!(value instanceof Map) || value.size === 0 || value.size > 32) {
    throw malformed("has no map of 1 to 32 PCRs");
  }
  const pcrs = new Map<number, Uint8Array>();
  for (const [index, digest] of value as ReadonlyMap<string | number, CborValue>) {
    const pcr = bytesOf("Nitro PCR", digest, 32, 64);
    if (![32, 48, 64].includes(pcr.length)) throw malformed("has a PCR of another length");
    pcrs.set(integerOf("Nitro PCR index", index, 0, 31), pcr);
  }
  return pcrs;
}

async function verify(
  evidence: Evidence,
  { crypto, now }: VerifyContext,
  anchors: readonly Uint8Array[],
): Promise<VerifiedEvidence> {
  const document = documentOf(evidence);
  const exam = examine("Nitro document");
  const leaf = parseCertificate("Nitro leaf", document.certificate);
  const bundle = document.bundle.map((der) => parseCertificate("Nitro cabundle", der));
  const [root] = document.bundle;
  const pinned = root !== undefined && anchors.some((anchor) => equalBytes(anchor, root));
  exam.require(
    "nitro.root",
    pinned,
    "the pinned root first in cabundle",
    pinned ? "it is" : "another",
    clause,
  );
  const chain = [leaf, ...bundle.reverse()];
  const verified = await verifyChain(exam, {
    crypto,
    now,
    chain,
    anchors,
    prefix: "nitro",
    source: clause,
  });
  const signed = await verifyCoseSign1(crypto, document.message, leaf.spki);
  exam.require(
    "nitro.signature",
    signed,
    "signed by the leaf (ES384)",
    signed ? "verifies" : "does not verify",
    clause,
  );
  const es384 = document.message.algorithm === "ES384";
  exam.require("nitro.algorithm", es384, "ES384", document.message.algorithm, clause);
  const measurements = pinnedPcrs.flatMap((index) => {
    const pcr = document.pcrs.get(index);
    // Zero is "not measured"; a policy that pins it would take every document without it.
    return pcr === undefined || isZero(pcr) ? [] : [[`pcr${index}`, pcr] as const];
  });
  return {
    type: "nitro",
    claims: { nitro: claimsOf(document) },
    measurements: Object.fromEntries(measurements),
    svn: {},
    tcb: { status: "UpToDate", advisories: [] },
    relaxations: exam.relaxations,
    attributes: {},
    debug: debugOf(document),
    reportData: document.userData ?? new Uint8Array(0),
    issuedAt: document.timestamp,
    notAfter: verified.notAfter,
    isolation: "tee",
    binding: "session",
    root: await fingerprint(crypto, verified.anchor.spki),
    findings: exam.findings,
  };
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

/** In debug mode the hypervisor reports zeros for what it measured, and the console is open. */
function debugOf({ pcrs }: NitroDocument): boolean {
  return [0, 1, 2].some((index) => isZero(pcrs.get(index) ?? new Uint8Array(48)));
}

function claimsOf(document: NitroDocument): Readonly<Record<string, Claim>> {
  const pcrs = [...document.pcrs].map(([index, pcr]) => [`pcr${index}`, toHex(pcr)]);
  const hex = (bytes: Uint8Array | undefined): string | null =>
    bytes === undefined ? null : toHex(bytes);
  return {
    module_id: document.moduleId,
    timestamp: document.timestamp,
    pcrs: Object.fromEntries(pcrs) as Record<string, string>,
    public_key: hex(document.publicKey),
    user_data: hex(document.userData),
    nonce: hex(document.nonce),
    debug: debugOf(document),
    report_data: hex(document.userData),
  };
}

function malformed(reason: string): AttestationError {
  return new AttestationError("malformed", `The Nitro document ${reason}.`);
}
