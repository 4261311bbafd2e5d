/**
 * Node only: collateral from the services that publish it, for verifiers that take it as input. Whatever
 * arrives is verified there; here it is kept bounded and of the right form.
 */
import { parseCsvReport } from "../csv/report.ts";
import { AttestationError } from "../errors.ts";
import type { Collateral, Evidence } from "../evidence.ts";
import { vtpmHardware } from "../vtpm/verifier.ts";
import { amdKds, fetchAmd } from "./amd.ts";
import { fetchDcap, intelPcs } from "./dcap.ts";
import type { CollateralSource } from "./source.ts";

export { amdKds } from "./amd.ts";
export type { CachedDownload, DownloadCache } from "./cache.ts";
export { diskCache } from "./cache.ts";
export { intelPcs } from "./dcap.ts";
export type { HttpOptions } from "./http.ts";
export type { CollateralSource, SourceOptions } from "./source.ts";
export { collateralSource } from "./source.ts";

export interface CollateralServices {
  /** PCS or PCCS for SGX and TDX, without a path. Default: Intel's. */
  readonly pcs?: string;
  /** AMD's key distribution service or a mirror. */
  readonly kds?: string;
  /** Hygon's certificate service. */
  readonly hygon?: string;
}

/** Reachable from China only. */
export const hygonService = "https://cert.hygon.cn";
const year = 365 * 86_400_000;

/**
 * What a verifier of this evidence needs and can be had: Intel's for SGX and TDX, AMD's for SEV-SNP, Hygon's for
 * CSV, that of the TEE below for Azure vTPMs. Nitro and simulated evidence need none.
 * @throws AttestationError `unreachable`, `malformed`, or `unknown-type` for types whose trust anchors nobody
 * publishes (CCA, TPM): they come from whoever runs the platform.
 */
export async function fetchCollateral(
  evidence: Evidence,
  source: CollateralSource,
  services: CollateralServices = {},
): Promise<Collateral> {
  const { pcs = intelPcs, kds = amdKds, hygon = hygonService } = services;
  switch (evidence.type) {
    case "sgx":
    case "tdx":
      return await fetchDcap(evidence.bytes, source, pcs);
    case "snp":
      return await fetchAmd(evidence.bytes, source, kds);
    case "az-snp-vtpm":
    case "az-tdx-vtpm":
      return await fetchCollateral(vtpmHardware(evidence), source, services);
    case "csv":
      return await fetchHygon(evidence.bytes, source, hygon);
    case "nitro":
    case "simulated":
      return {};
    default:
      throw new AttestationError(
        "unknown-type",
        `No service publishes trust anchors for evidence of type ${evidence.type}: ask whoever runs the platform.`,
      );
  }
}

/** HSK and CEK of the chip, in Hygon's binary form. */
async function fetchHygon(
  bytes: Uint8Array,
  source: CollateralSource,
  base: string,
): Promise<Collateral> {
  const serial = Buffer.from(parseCsvReport(bytes).serialNumber).toString("latin1");
  if (!/^[A-Za-z0-9]{1,64}$/.test(serial)) {
    throw new AttestationError("malformed", "The report names no chip that Hygon could know.");
  }
  const { body } = await source.get({
    name: `csv/hsk_cek/${serial}`,
    url: `${base}/hsk_cek?snumber=${serial}`,
    maxAgeMs: year,
    maxBytes: 16 * 1024,
  });
  // HSK (832 bytes) and CEK (2,084 bytes).
  if (body.length !== 2916) {
    throw new AttestationError("malformed", "Hygon's service gives no certificates of that chip.");
  }
  return { certificates: body };
}
