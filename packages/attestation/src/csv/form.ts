/** trustee's JSON of CSV evidence: the report's page and, restored, the PEK and HSK/CEK beside it. */
import { concat } from "@vivarium/core";
import type { Evidence } from "../evidence.ts";
import {
  bytesOfNumbers,
  bytesOfText,
  fieldOf,
  isObject,
  type JsonObject,
} from "../forms/encoding.ts";
import { csvReportBytes } from "./report.ts";

/** Undefined if the JSON is not of this form. */
export function csvEvidenceOf(document: JsonObject): Evidence | undefined {
  const report = fieldOf(document, "attestation_report");
  if (!isObject(report) || fieldOf(report, "magic") === undefined) return undefined;
  const magic = bytesOfNumbers(fieldOf(report, "magic"));
  const data = bytesOfNumbers(fieldOf(report, "data"));
  const flags = fieldOf(report, "flags");
  if (magic?.length !== 16 || data?.length !== csvReportBytes.page || typeof flags !== "number") {
    return undefined;
  }
  const wrapped = concat(magic, Uint8Array.of(flags & 0xff, 0, 0, 0), data);
  const chain = fieldOf(document, "cert_chain");
  const hskCek = isObject(chain) ? bytesOfText(fieldOf(chain, "hsk_cek")) : undefined;
  const attachments = hskCek === undefined ? {} : { certificates: hskCek };
  return { type: "csv", bytes: wrapped, attachments };
}
