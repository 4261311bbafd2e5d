/** SEV-SNP evidence in the JSON of CoCo (the sev crate's fields), attestation-rs and dstack. */
import { concat, utf8 } from "@vivarium/core";
import type { Evidence } from "../evidence.ts";
import {
  bytesOfNumbers,
  bytesOfText,
  fieldOf,
  isObject,
  type Json,
  type JsonObject,
} from "../forms/encoding.ts";
import { snpReportBytes } from "./report.ts";

/** Undefined if the JSON is of none of these forms. */
export function snpEvidenceOf(document: JsonObject): Evidence | undefined {
  return attestationRs(document) ?? dstack(document) ?? coco(document);
}

function evidence(bytes: Uint8Array, certificates: Uint8Array | undefined): Evidence {
  const attachments = certificates === undefined ? {} : { certificates };
  return { type: "snp", bytes, attachments };
}

/** `{ attestation_report, cert_chain: { vcek } }`, both base64. */
function attestationRs(document: JsonObject): Evidence | undefined {
  const bytes = bytesOfText(fieldOf(document, "attestation_report"));
  const chain = fieldOf(document, "cert_chain");
  if (bytes?.length !== snpReportBytes) return undefined;
  return evidence(bytes, isObject(chain) ? bytesOfText(fieldOf(chain, "vcek")) : undefined);
}

/** `{ attestation }`, hex of a SCALE value: two tags, the report with its length, then PEM. */
function dstack(document: JsonObject): Evidence | undefined {
  const bytes = bytesOfText(fieldOf(document, "attestation"));
  const header = [0x00, 0x03, 0x81, 0x12];
  if (bytes === undefined || header.some((byte, i) => bytes[i] !== byte)) return undefined;
  const report = bytes.slice(4, 4 + snpReportBytes);
  const rest = String.fromCharCode(...bytes.subarray(4 + snpReportBytes));
  const blocks = rest.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return evidence(report, blocks.length === 0 ? undefined : utf8(blocks.join("\n")));
}

/** The sev crate's report, field by field, and the hypervisor's certificates. */
function coco(document: JsonObject): Evidence | undefined {
  const report = fieldOf(document, "attestation_report");
  if (!isObject(report)) return undefined;
  const bytes = reportOf(report);
  if (bytes === undefined) return undefined;
  const chain = fieldOf(document, "cert_chain");
  const entries = Array.isArray(chain) ? chain : [];
  const certificates = entries.flatMap((entry) => {
    const data = isObject(entry) ? bytesOfNumbers(fieldOf(entry, "data")) : undefined;
    return data === undefined ? [] : [data];
  });
  return evidence(bytes, certificates.length === 0 ? undefined : concat(...certificates));
}

/** Undefined if a field is missing: the signature would not verify anyway. */
function reportOf(report: JsonObject): Uint8Array<ArrayBuffer> | undefined {
  const out = new Uint8Array(snpReportBytes);
  const view = new DataView(out.buffer);
  const number = (name: string): number => {
    const value = fieldOf(report, name);
    return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
  };
  const u64 = (at: number, name: string): void => view.setBigUint64(at, BigInt(number(name)), true);
  const u32 = (at: number, name: string): void => view.setUint32(at, number(name) >>> 0, true);
  const place = (at: number, value: Json | undefined, length: number): boolean => {
    const bytes = bytesOfNumbers(value) ?? bytesOfText(value);
    if (bytes?.length !== length) return false;
    out.set(bytes, at);
    return true;
  };
  u32(0x00, "version");
  u32(0x04, "guest_svn");
  u64(0x08, "policy");
  u32(0x30, "vmpl");
  u32(0x34, "sig_algo");
  u64(0x40, "plat_info");
  u32(0x48, "key_info");
  for (const [i, name] of ["cpuid_fam_id", "cpuid_mod_id", "cpuid_step"].entries()) {
    out[0x188 + i] = number(name);
  }
  u64(0x1f8, "launch_mit_vector");
  u64(0x200, "current_mit_vector");
  const turin = number("cpuid_fam_id") >= 0x1a;
  for (const [at, name] of [
    [0x38, "current_tcb"],
    [0x180, "reported_tcb"],
    [0x1e0, "committed_tcb"],
    [0x1f0, "launch_tcb"],
  ] as const) {
    out.set(tcbBytes(fieldOf(report, name), turin), at);
  }
  out.set(firmwareBytes(fieldOf(report, "current")), 0x1e8);
  out.set(firmwareBytes(fieldOf(report, "committed")), 0x1ec);
  const fields: readonly (readonly [number, string, number])[] = [
    [0x10, "family_id", 16],
    [0x20, "image_id", 16],
    [0x50, "report_data", 64],
    [0x90, "measurement", 48],
    [0xc0, "host_data", 32],
    [0xe0, "id_key_digest", 48],
    [0x110, "author_key_digest", 48],
    [0x140, "report_id", 32],
    [0x160, "report_id_ma", 32],
    [0x1a0, "chip_id", 64],
  ];
  const signature = fieldOf(report, "signature");
  const whole =
    fields.every(([at, name, length]) => place(at, fieldOf(report, name), length)) &&
    isObject(signature) &&
    place(0x2a0, fieldOf(signature, "r"), 72) &&
    place(0x2e8, fieldOf(signature, "s"), 72);
  return whole ? out : undefined;
}

function parts(value: Json | undefined, names: readonly string[]): number[] {
  return names.map((name) => {
    const part = isObject(value) ? fieldOf(value, name) : undefined;
    return typeof part === "number" ? part & 0xff : 0;
  });
}

function tcbBytes(value: Json | undefined, turin: boolean): Uint8Array {
  const names = ["fmc", "bootloader", "tee", "snp", "microcode"] as const;
  const [fmc, bootloader, tee, snp, microcode] = parts(value, names) as [
    number,
    number,
    number,
    number,
    number,
  ];
  return turin
    ? Uint8Array.of(fmc, bootloader, tee, snp, 0, 0, 0, microcode)
    : Uint8Array.of(bootloader, tee, 0, 0, 0, 0, snp, microcode);
}

function firmwareBytes(value: Json | undefined): Uint8Array {
  const [build, minor, major] = parts(value, ["build", "minor", "major"]) as [
    number,
    number,
    number,
  ];
  return Uint8Array.of(build, minor, major, 0);
}
