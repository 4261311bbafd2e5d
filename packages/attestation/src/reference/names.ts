/** Names that others give to measurements, as verifiers here name them. What has no name here is told. */
import type { EvidenceType } from "../evidence.ts";

const tdx = "mr_td|mr_seam|mr_config_id|mr_owner|mr_owner_config|mr_servicetd|rtmr_[0-3]";
const snp = "measurement|host_data|id_key_digest|author_key_digest|report_id|chip_id";
const pcr = "pcr(?:[01][0-9]|2[0-3])";
const sev = "measurement|platform_root|platform_owner";

/** What the verifier of each type measures. A test holds it to them. */
const measured: Readonly<Record<EvidenceType, string>> = {
  sgx: "mr_enclave|mr_signer|config_id",
  tdx,
  snp,
  sev,
  "sev-es": sev,
  csv: "measure|user_pubkey_digest|rtmr_[0-4]",
  cca: "rim|rem_[0-3]|personalization|implementation_id|platform_[a-z0-9_]{1,32}",
  tpm: pcr,
  "az-snp-vtpm": `${snp}|${pcr}`,
  "az-tdx-vtpm": `${tdx}|${pcr}`,
  nitro: "pcr(?:[0-9]|1[0-9]|2[0-9]|3[01])",
  simulated: "code|runtime|flags|policy|config",
};

/** Names in trustee's and others' documents that no rule leads to ours. */
const others: Readonly<Partial<Record<EvidenceType, Readonly<Record<string, string>>>>> = {
  snp: { snp_launch_measurement: "measurement", launch_digest: "measurement" },
  tdx: { mrtd: "mr_td", mrseam: "mr_seam", mrconfigid: "mr_config_id", mrowner: "mr_owner" },
  sgx: { mrenclave: "mr_enclave", mrsigner: "mr_signer" },
  csv: { csv_measurement: "measure", measurement: "measure" },
};

/**
 * Our name of a measurement: `tdx.quote.body.mr_td`, `rvps:///a/b/mr_td:v1`, `MRTD` and `rtmr0` all are names
 * in use. Undefined for what evidence of the type does not measure.
 */
export function measurementName(type: EvidenceType, name: string): string | undefined {
  const [last = ""] = (name.split("/").at(-1) ?? "").split(":");
  const word = (last.split(".").at(-1) ?? "").toLowerCase().replaceAll("-", "_");
  const aliases = others[type] ?? {};
  const alias = Object.hasOwn(aliases, word) ? aliases[word] : undefined;
  const known = new RegExp(`^(?:${measured[type]})$`);
  const spelled = [alias, word, word.replace(/^(rtmr|rem)(\d)$/, "$1_$2"), padded(word)];
  return spelled.find((candidate) => candidate !== undefined && known.test(candidate));
}

/** `pcr4` as `pcr04`; Nitro's names have no zero. */
function padded(word: string): string {
  return word.replace(/^pcr_?(\d)$/, "pcr0$1").replace(/^pcr_(\d\d)$/, "pcr$1");
}

/** Name of a component of an Arm platform, as its verifier makes it. */
export function componentName(type: string): string {
  return `platform_${type.toLowerCase().replace(/[^a-z0-9]+/g, "_")}`;
}

/** A whole digest in lower-case hexadecimal, or undefined. */
export function digestText(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const hex = value.toLowerCase().replace(/^0x/, "");
  return /^(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})$/.test(hex) ? hex : undefined;
}
