/** The envelope that evidence travels in: deterministic CBOR, bounded before anything is decoded. */
import { type Crypto, labels, lengthPrefixed } from "@vivarium/core";
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf, textOf } from "./cbor.ts";
import { AttestationError } from "./errors.ts";
import { type Evidence, evidenceTypes } from "./evidence.ts";

/** Bounds of one piece of evidence from a peer that has proven nothing yet. */
export interface EvidenceLimits {
  /** Bytes of the whole envelope. Event logs are what makes evidence big. */
  readonly maxBytes: number;
  /** Attachments beside the signed statement. */
  readonly maxAttachments: number;
}

export const defaultEvidenceLimits: EvidenceLimits = {
  maxBytes: 384 * 1024,
  maxAttachments: 16,
};

const attachmentName = /^[a-z][a-z0-9-]{0,31}$/;

/** @throws AttestationError `malformed` if the attester gave what no peer would accept. */
export function encodeEvidence(
  evidence: Evidence,
  limits: EvidenceLimits = defaultEvidenceLimits,
): Uint8Array<ArrayBuffer> {
  const attachments = new Map<string, CborValue>(Object.entries(evidence.attachments));
  requireEvidence(evidence.type, evidence.bytes, attachments, limits);
  const bytes = encodeCbor(
    new Map<string, CborValue>([
      ["type", evidence.type],
      ["bytes", evidence.bytes],
      ["attachments", attachments],
    ]),
  );
  if (bytes.length > limits.maxBytes) {
    throw new AttestationError("malformed", `Evidence is bigger than ${limits.maxBytes} bytes.`);
  }
  return bytes;
}

/** @throws AttestationError `malformed`, or `unknown-type` for a type this version does not know. */
export function decodeEvidence(
  bytes: Uint8Array,
  limits: EvidenceLimits = defaultEvidenceLimits,
): Evidence {
  const document = decodeCbor("Evidence", bytes, {
    maxBytes: limits.maxBytes,
    maxDepth: 2,
    maxValues: 8 + 2 * limits.maxAttachments,
  });
  const fields = fieldsOf("Evidence", document, ["type", "bytes", "attachments"]);
  return requireEvidence(fields.type, fields.bytes, fields.attachments, limits);
}

/** What both directions hold the three fields to. */
function requireEvidence(
  name: CborValue | undefined,
  bytes: CborValue | undefined,
  named: CborValue | undefined,
  limits: EvidenceLimits,
): Evidence {
  const type = evidenceTypes.find((known) => known === name);
  if (type === undefined) {
    throw new AttestationError("unknown-type", "The type of the evidence is not known here.");
  }
  if (!(named instanceof Map) || named.size > limits.maxAttachments) {
    throw new AttestationError("malformed", "The attachments of the evidence are not a small map.");
  }
  const attachments: Record<string, Uint8Array> = {};
  for (const [key, value] of named as ReadonlyMap<string, CborValue>) {
    const attachment = textOf("An attachment's name", key, attachmentName);
    attachments[attachment] = bytesOf(`Attachment ${attachment}`, value, 0, limits.maxBytes);
  }
  return { type, bytes: bytesOf("Evidence bytes", bytes, 1, limits.maxBytes), attachments };
}

/** Digest that results and receipts name the evidence by. */
export async function evidenceDigest(crypto: Crypto, evidence: Evidence): Promise<Uint8Array> {
  return await crypto.digest("SHA-256", lengthPrefixed(labels.evidence, encodeEvidence(evidence)));
}
