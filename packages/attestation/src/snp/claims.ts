/** What a report says, by trustee's names, and its switches and numbers for policies. */
import { toHex } from "@vivarium/core";
import type { Claim } from "../evidence.ts";
import { productOfCpuid, type SnpProduct, tcbVersion } from "./product.ts";
import type { SnpReport, TcbBytes } from "./report.ts";

/** Bits of the guest's policy (56860 table 9). Bit 17 must be one. */
const policyBits = {
  smt_allowed: 16,
  migrate_ma: 18,
  debug: 19,
  single_socket: 20,
  cxl_allowed: 21,
  mem_aes_256_xts: 22,
  rapl_disabled: 23,
  ciphertext_hiding: 24,
  page_swap_disabled: 25,
} as const;

/** Bits of PLATFORM_INFO (56860 table 24). */
const platformBits = {
  platform_smt_enabled: 0,
  platform_tsme_enabled: 1,
  platform_ecc_enabled: 2,
  platform_rapl_disabled: 3,
  platform_ciphertext_hiding: 4,
  platform_alias_check_complete: 5,
  platform_tio_enabled: 7,
} as const;

export const reservedPolicyBit = 17;
const knownPolicyBits = 26;

export function policyBit(policy: bigint, bit: number): boolean {
  return ((policy >> BigInt(bit)) & 1n) === 1n;
}

export function debugAllowed(report: SnpReport): boolean {
  return policyBit(report.policy, policyBits.debug);
}

export function migrationAgentAllowed(report: SnpReport): boolean {
  return policyBit(report.policy, policyBits.migrate_ma);
}

/** Bits that the specification gives no meaning: what they allow is not known here. */
export function unknownPolicyBits(report: SnpReport): boolean {
  return report.policy >> BigInt(knownPolicyBits) !== 0n;
}

export function switchesOf(report: SnpReport): Readonly<Record<string, boolean>> {
  const of = (value: bigint, bits: Readonly<Record<string, number>>): [string, boolean][] =>
    Object.entries(bits).map(([name, bit]) => [name, policyBit(value, bit)]);
  return {
    ...(Object.fromEntries([
      ...of(report.policy, policyBits),
      ...of(report.platformInfo, platformBits),
    ]) as Record<string, boolean>),
    author_key_enabled: report.authorKeyEnabled,
  };
}

/** Reported, committed, current and launch TCB are four things; names keep them apart. */
export function numbersOf(
  product: SnpProduct,
  report: SnpReport,
): Readonly<Record<string, number>> {
  const numbers: Record<string, number> = {
    guest_svn: report.guestSvn,
    policy_abi_major: Number((report.policy >> 8n) & 0xffn),
    policy_abi_minor: Number(report.policy & 0xffn),
    current_firmware: firmwareNumber(report.currentFirmware),
    committed_firmware: firmwareNumber(report.committedFirmware),
  };
  const kinds: readonly [string, TcbBytes][] = [
    ["reported", report.reportedTcb],
    ["committed", report.committedTcb],
    ["current", report.currentTcb],
    ["launch", report.launchTcb],
  ];
  for (const [kind, bytes] of kinds) {
    for (const [component, svn] of Object.entries(tcbVersion(product, bytes))) {
      if (svn !== undefined) numbers[`${kind}_tcb_${component}`] = svn as number;
    }
  }
  return numbers;
}

/** Major, minor and build as one number that orders as they do. */
function firmwareNumber([major, minor, build]: readonly [number, number, number]): number {
  return major * 65_536 + minor * 256 + build;
}

/** @param product undefined where the report alone does not say (version 2). */
export function claimsOf(
  report: SnpReport,
  product: SnpProduct | undefined = report.cpuid && productOfCpuid(report.cpuid),
): Readonly<Record<string, Claim>> {
  const { policy } = report;
  return {
    version: report.version,
    product: product ?? null,
    measurement: toHex(report.measurement),
    report_data: toHex(report.reportData),
    init_data: toHex(report.hostData),
    host_data: toHex(report.hostData),
    family_id: toHex(report.familyId),
    image_id: toHex(report.imageId),
    id_key_digest: toHex(report.idKeyDigest),
    author_key_digest: toHex(report.authorKeyDigest),
    report_id: toHex(report.reportId),
    report_id_ma: toHex(report.reportIdMa),
    chip_id: toHex(report.chipId),
    vmpl: report.vmpl,
    signing_key: { 0: "VCEK", 1: "VLEK" }[report.signingKey] ?? "none",
    policy: `0x${policy.toString(16)}`,
    policy_abi_major: Number((policy >> 8n) & 0xffn),
    policy_abi_minor: Number(policy & 0xffn),
    policy_smt_allowed: policyBit(policy, policyBits.smt_allowed),
    policy_migrate_ma: policyBit(policy, policyBits.migrate_ma),
    policy_debug_allowed: policyBit(policy, policyBits.debug),
    policy_single_socket: policyBit(policy, policyBits.single_socket),
    ...switchesOf(report),
    ...(product === undefined
      ? { reported_tcb: toHex(report.reportedTcb), current_tcb: toHex(report.currentTcb) }
      : numbersOf(product, report)),
    current_firmware_version: report.currentFirmware.join("."),
    committed_firmware_version: report.committedFirmware.join("."),
    ...(report.launchMitigations === undefined
      ? {}
      : { launch_mitigation_vector: `0x${report.launchMitigations.toString(16)}` }),
    ...(report.currentMitigations === undefined
      ? {}
      : { current_mitigation_vector: `0x${report.currentMitigations.toString(16)}` }),
    ...(report.cpuid === undefined
      ? {}
      : {
          cpuid_family: report.cpuid.family,
          cpuid_model: report.cpuid.model,
          cpuid_stepping: report.cpuid.stepping,
        }),
  };
}
