/** TPM evidence in the JSON of trustee, of go-tpm-tools and of go-attestation. */
import type { Evidence } from "../evidence.ts";
import { bytesOfText, fieldOf, isObject, type Json, type JsonObject } from "../forms/encoding.ts";
import { encodeTpmEvidence, type PcrBanks } from "./container.ts";
import { publicKeyOf } from "./quote.ts";
import { parseTpmQuote, tpmAlgorithms } from "./structures.ts";

/** Undefined if the JSON is none of them. */
export function tpmEvidenceOf(document: JsonObject): Evidence | undefined {
  return trustee(document) ?? goTpmTools(document) ?? goAttestation(document);
}

/** `{ ak_public, tpm_quote: { message, signature, pcrs } }`, PCRs of the SHA-256 bank in order. */
function trustee(document: JsonObject): Evidence | undefined {
  const ak = bytesOfText(fieldOf(document, "ak_public"));
  const quote = fieldOf(document, "tpm_quote");
  if (ak === undefined || !isObject(quote)) return undefined;
  const message = bytesOfText(fieldOf(quote, "message"));
  const signature = bytesOfText(fieldOf(quote, "signature"));
  if (message === undefined || signature === undefined) return undefined;
  const pcrs = selectedOf(message, fieldOf(quote, "pcrs"));
  const bytes = encodeTpmEvidence({ ak, message, signature, pcrs });
  return { type: "tpm", bytes, attachments: {} };
}

/** All values in order; the container holds those that the quote selects. */
export function selectedOf(message: Uint8Array, values: Json | undefined): PcrBanks {
  const list = Array.isArray(values) ? values : [];
  const banks = parseTpmQuote(message).selections.map(({ hash, indices }) => {
    const entries = indices.flatMap((index) => {
      const value = bytesOfText(list[index]);
      return value === undefined ? [] : [[index, value] as const];
    });
    return [hash, new Map(entries)] as const;
  });
  return new Map(banks);
}

/** A quote for each bank: the SHA-256 one is taken, the others say the same with other digests. */
function goTpmTools(document: JsonObject): Evidence | undefined {
  const ak = bytesOfText(fieldOf(document, "ak_pub_tpmt_public"));
  const quotes = fieldOf(document, "quotes");
  if (ak === undefined || !Array.isArray(quotes)) return undefined;
  const quote = quotes.find(
    (item) => isObject(item) && fieldOf(item, "hash") === tpmAlgorithms.sha256,
  );
  if (!isObject(quote)) return undefined;
  const message = bytesOfText(fieldOf(quote, "message"));
  const signature = bytesOfText(fieldOf(quote, "tpmt_signature"));
  const values = fieldOf(quote, "pcrs");
  if (message === undefined || signature === undefined || !isObject(values)) return undefined;
  const bank = Object.entries(values).flatMap(([index, value]) => {
    const bytes = bytesOfText(value);
    return bytes === undefined ? [] : [[Number(index), bytes] as const];
  });
  const pcrs = new Map([[tpmAlgorithms.sha256, new Map(bank)]]);
  const certificates = bytesOfText(fieldOf(document, "ak_cert_der_base64"));
  const eventlog = bytesOfText(fieldOf(document, "event_log_base64"));
  return {
    type: "tpm",
    bytes: encodeTpmEvidence({ ak: publicKeyOf(ak).spki, message, signature, pcrs }),
    attachments: {
      ...(certificates === undefined ? {} : { certificates }),
      ...(eventlog === undefined ? {} : { eventlog }),
    },
  };
}

/** `{ AK: { Public }, Quote: { Quote, Signature }, Log: { PCRs, Raw } }`, one bank. */
function goAttestation(document: JsonObject): Evidence | undefined {
  const [key, quote, log] = ["AK", "Quote", "Log"].map((name) => fieldOf(document, name));
  if (!isObject(key) || !isObject(quote) || !isObject(log)) return undefined;
  const ak = bytesOfText(fieldOf(key, "Public"));
  const message = bytesOfText(fieldOf(quote, "Quote"));
  const signature = bytesOfText(fieldOf(quote, "Signature"));
  const values = fieldOf(log, "PCRs");
  if (ak === undefined || message === undefined || signature === undefined) return undefined;
  const byIndex: Json[] = [];
  for (const item of Array.isArray(values) ? values : []) {
    const index = isObject(item) ? fieldOf(item, "Index") : undefined;
    const digest = isObject(item) ? fieldOf(item, "Digest") : undefined;
    if (typeof index !== "number" || !(index >= 0 && index < 32) || digest === undefined) continue;
    byIndex[index] = digest;
  }
  const pcrs = selectedOf(message, byIndex);
  const eventlog = bytesOfText(fieldOf(log, "Raw"));
  return {
    type: "tpm",
    bytes: encodeTpmEvidence({ ak: publicKeyOf(ak).spki, message, signature, pcrs }),
    attachments: eventlog === undefined ? {} : { eventlog },
  };
}
