/** Azure vTPM evidence in the JSON of CoCo: version 0 (arrays of numbers), 1 and 2 (hex and base64url). */
import { utf8 } from "@vivarium/core";
import type { Evidence } from "../evidence.ts";
import {
  bytesOfNumbers,
  bytesOfText,
  fieldOf,
  isObject,
  type Json,
  type JsonObject,
} from "../forms/encoding.ts";
import { encodeTpmEvidence } from "../tpm/container.ts";
import { selectedOf } from "../tpm/form.ts";
import { parseHclReport, parseRuntimeData } from "./hcl.ts";
import { encodeVtpmEvidence } from "./verifier.ts";

const either = (value: Json | undefined): Uint8Array<ArrayBuffer> | undefined =>
  bytesOfText(value) ?? bytesOfNumbers(value);

/** Undefined if the JSON is not of this form. */
export function vtpmEvidenceOf(document: JsonObject): Evidence | undefined {
  const quote = fieldOf(document, "tpm_quote") ?? fieldOf(document, "quote");
  const hcl = either(fieldOf(document, "hcl_report") ?? fieldOf(document, "report"));
  if (!isObject(quote) || hcl === undefined) return undefined;
  const message = either(fieldOf(quote, "message"));
  const raw = either(fieldOf(quote, "signature"));
  const values = fieldOf(quote, "pcrs");
  if (message === undefined || raw === undefined || !Array.isArray(values)) return undefined;
  const texts = values.map((value) => hexText(either(value)));
  const { hardware, kind, runtime } = parseHclReport(hcl);
  const tpm = encodeTpmEvidence({
    message,
    signature: withScheme(raw),
    pcrs: selectedOf(message, texts),
    ak: parseRuntimeData(runtime).ak,
  });
  const report = kind === "snp" ? hardware : new Uint8Array(0);
  const bytes = encodeVtpmEvidence({ tpm, report, runtime });
  const tdQuote = either(fieldOf(document, "td_quote"));
  if (tdQuote !== undefined) {
    return { type: "az-tdx-vtpm", bytes, attachments: { quote: tdQuote } };
  }
  const vcek = fieldOf(document, "vcek");
  const pem = typeof vcek === "string" && vcek.includes("-----BEGIN");
  const certificates = pem ? utf8(vcek) : either(vcek);
  const attachments = certificates === undefined ? {} : { certificates };
  return { type: "az-snp-vtpm", bytes, attachments };
}

/** The vTPM's key signs with RSASSA and SHA-256; CoCo keeps the bare signature. */
function withScheme(raw: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(raw.length + 6);
  out.set([0x00, 0x14, 0x00, 0x0b, raw.length >> 8, raw.length & 0xff]);
  out.set(raw, 6);
  return out;
}

function hexText(bytes: Uint8Array | undefined): string {
  return [...(bytes ?? [])].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
