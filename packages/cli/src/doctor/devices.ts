/** Devices of trusted execution environments: looked for by path, in the attesters' order. */
import { access, constants } from "node:fs/promises";
import { AttestationError } from "@vivarium/attestation";
import { defaultTpmAddress, detectAttester, platformFiles } from "@vivarium/attestation/collect";
import type { Io } from "../io.ts";
import { type Check, check } from "./check.ts";

interface Device {
  readonly name: string;
  readonly path: string;
  readonly gives: string;
}

const devices: readonly Device[] = [
  { name: "device.gramine", path: "/dev/attestation/quote", gives: "SGX quotes through Gramine" },
  { name: "device.sgx", path: "/dev/sgx_enclave", gives: "SGX enclaves" },
  { name: "device.sgx-legacy", path: "/dev/sgx", gives: "SGX through Occlum" },
  {
    name: "device.configfs-tsm",
    path: "/sys/kernel/config/tsm/report",
    gives: "TDX, SEV-SNP and CCA reports",
  },
  { name: "device.tdx", path: "/dev/tdx_guest", gives: "TDX reports" },
  { name: "device.snp", path: "/dev/sev-guest", gives: "SEV-SNP reports" },
  { name: "device.csv", path: "/dev/csv-guest", gives: "Hygon CSV reports" },
  { name: "device.tpm", path: "/dev/tpmrm0", gives: "TPM 2.0 quotes (measures, isolates nothing)" },
  { name: "device.nitro", path: "/dev/nsm", gives: "Nitro attestation documents" },
];

/** @param programs where the helper that asks devices may be compiled into. */
export async function deviceChecks(
  programs: string,
  env: Io["env"],
  root = "",
): Promise<readonly Check[]> {
  const found = await Promise.all(devices.map((device) => look(device, root)));
  return [...found, await attesterCheck(programs, env, root)];
}

async function attesterCheck(programs: string, env: Io["env"], root: string): Promise<Check> {
  try {
    const { name, attester } = await detectAttester({
      files: platformFiles(root),
      helperDirectory: programs,
      occlum: env["OCCLUM"] !== undefined,
      tpm: { address: `${root}${defaultTpmAddress}`, timeoutMs: 5_000 },
      coco: { timeoutMs: 1_000 },
    });
    const weak = attester.type === "tpm";
    return check(
      "attester",
      weak ? "warn" : "ok",
      `${attester.type} by ${name}`,
      weak ? "A TPM measures what booted, and isolates nothing from the host." : "",
    );
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    const detail = "Simulated evidence is signed by a development root, and protects from no host.";
    return check("attester", "warn", "none: only simulated evidence can be had here", detail);
  }
}

async function look({ name, path, gives }: Device, root: string): Promise<Check> {
  try {
    await access(`${root}${path}`, constants.F_OK);
  } catch {
    return check(name, "info", `absent: ${path}`);
  }
  try {
    await access(`${root}${path}`, constants.R_OK);
    return check(name, "ok", `found: ${path} (${gives})`);
  } catch {
    return check(name, "warn", `found: ${path}, not readable`, "Add this user to its group.");
  }
}
