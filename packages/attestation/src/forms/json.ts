/** Evidence as JSON: CoCo's envelopes (trustee), attestation-rs, dstack, go-tpm-tools. */
import { utf8 } from "@vivarium/core";
import { csvEvidenceOf } from "../csv/form.ts";
import { AttestationError } from "../errors.ts";
import type { EvidenceType } from "../evidence.ts";
import { textOfBytes } from "../reader.ts";
import { snpEvidenceOf } from "../snp/form.ts";
import { tpmEvidenceOf } from "../tpm/form.ts";
import { vtpmEvidenceOf } from "../vtpm/form.ts";
import {
  bytesOfText,
  fieldOf,
  isObject,
  type Json,
  type JsonObject,
  jsonObjectOf,
} from "./encoding.ts";
import type { Recognised } from "./recognised.ts";

/** @throws AttestationError `malformed` for JSON that is no evidence known here. */
export function fromJson(document: JsonObject): Recognised {
  const found = convert(document, 0);
  if (found === undefined) {
    throw new AttestationError("unknown-type", "The JSON is no evidence that is known here.");
  }
  return found;
}

function convert(document: JsonObject, depth: number): Recognised | undefined {
  if (depth > 2) return undefined;
  const inner = fieldOf(document, "evidence") ?? fieldOf(document, "primary_evidence");
  if (isObject(inner)) return convert(inner, depth + 1);
  const requests = fieldOf(document, "verification_requests");
  if (Array.isArray(requests) && requests.length === 1) return fromRequest(requests[0], depth);
  const csv = csvEvidenceOf(document);
  if (csv !== undefined) return { evidence: csv, collateral: {}, form: "CoCo" };
  const tpm = vtpmEvidenceOf(document) ?? tpmEvidenceOf(document);
  if (tpm !== undefined) return { evidence: tpm, collateral: {}, form: "JSON" };
  const snp = snpEvidenceOf(document);
  if (snp !== undefined) return { evidence: snp, collateral: {}, form: "JSON" };
  return quote(document);
}

/** A request to trustee's attestation service: base64url of the evidence's own JSON. */
function fromRequest(request: Json | undefined, depth: number): Recognised | undefined {
  if (!isObject(request)) return undefined;
  const bytes = bytesOfText(fieldOf(request, "evidence"));
  const document =
    bytes === undefined ? undefined : jsonObjectOf(textOfBytes("Evidence", bytes).trim());
  return document === undefined ? undefined : convert(document, depth + 1);
}

/** `{ quote, cc_eventlog? }` of trustee and `{ quote, event_log }` of dstack. */
function quote(document: JsonObject): Recognised | undefined {
  const bytes = bytesOfText(fieldOf(document, "quote"));
  if (bytes === undefined || bytes.length < 436) return undefined;
  const type: EvidenceType = bytes[4] === 0x81 ? "tdx" : "sgx";
  const log = fieldOf(document, "event_log");
  const ccel = bytesOfText(fieldOf(document, "cc_eventlog"));
  const eventlog = typeof log === "string" ? utf8(log) : ccel;
  const attachments = type === "tdx" && eventlog !== undefined ? { eventlog } : {};
  const form = typeof log === "string" ? "dstack" : "CoCo";
  return { evidence: { type, bytes, attachments }, collateral: {}, form };
}
