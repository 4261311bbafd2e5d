/**
 * configfs-tsm: the kernel's one interface for quotes of TDX, SEV-SNP and Arm CCA (Linux 6.7 and later).
 * Source: Documentation/ABI/testing/configfs-tsm-report.
 */
import { randomUUID } from "node:crypto";
import { fromUtf8, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Attester, Evidence } from "../evidence.ts";
import { type PlatformFiles, platformFiles, unavailable } from "./files.ts";

export interface ConfigfsOptions {
  readonly files?: PlatformFiles;
  /** SEV-SNP: the VMPL to report, 0 to 3. Default: the kernel's. */
  readonly privilegeLevel?: number;
}

/** Where the kernel has it. */
export const configfsPath = "/sys/kernel/config/tsm/report";

const providers = { tdx_guest: "tdx", sev_guest: "snp", arm_cca_guest: "cca" } as const;
type ConfigfsType = (typeof providers)[keyof typeof providers];

/** `inblob` of TDX must have exactly 64 bytes: with fewer its quote is empty. */
const inblobBytes = 64;
/** Newer kernels give more than the 32 KiB of the first version. */
const maxBlobBytes = 256 * 1024;
/** Another process in the same directory name is impossible; a kernel that counts on is not. */
const attempts = 3;
const hint = "It needs Linux 6.7, a mounted configfs, and a TDX, SEV-SNP or CCA guest.";

/**
 * The attester of whatever TEE the kernel offers.
 * @throws AttestationError `unavailable`, naming the path and what to do.
 */
export async function configfsAttester(options: ConfigfsOptions = {}): Promise<Attester> {
  const { files = platformFiles() } = options;
  const type = await configfsType(files);
  return { type, collect: (reportData) => collect(files, type, options, reportData) };
}

/** Which TEE it is. @throws AttestationError `unavailable`. */
export async function configfsType(files: PlatformFiles): Promise<ConfigfsType> {
  return await inEntry(files, async (entry) => providerOf(files, entry));
}

async function providerOf(files: PlatformFiles, entry: string): Promise<ConfigfsType> {
  const name = fromUtf8(await files.read(`${entry}/provider`, 64)).trim();
  if (!Object.hasOwn(providers, name)) {
    const known = Object.keys(providers).join(", ");
    throw new AttestationError(
      "unavailable",
      `${configfsPath}: the provider is not one of ${known}.`,
    );
  }
  return providers[name as keyof typeof providers];
}

/** A directory of its own for each request: the entries of one are shared by whoever opens them. */
async function inEntry<T>(files: PlatformFiles, use: (entry: string) => Promise<T>): Promise<T> {
  const entry = `${configfsPath}/vivarium-${randomUUID()}`;
  try {
    await files.makeDirectory(entry);
    try {
      return await use(entry);
    } finally {
      await files.removeDirectory(entry);
    }
  } catch (cause) {
    throw unavailable(configfsPath, cause, hint);
  }
}

async function collect(
  files: PlatformFiles,
  type: ConfigfsType,
  options: ConfigfsOptions,
  reportData: Uint8Array,
): Promise<Evidence> {
  if (reportData.length !== inblobBytes) {
    throw new AttestationError("malformed", `Report data has ${inblobBytes} bytes.`);
  }
  return await inEntry(files, async (entry) => {
    if ((await providerOf(files, entry)) !== type) {
      throw new AttestationError("unavailable", `${configfsPath}: the provider has changed.`);
    }
    const level = options.privilegeLevel;
    // Text, not a byte: the kernel parses a number.
    if (level !== undefined) await files.write(`${entry}/privlevel`, utf8(`${level}`));
    for (let attempt = 1; attempt <= attempts; attempt++) {
      await files.write(`${entry}/inblob`, reportData);
      const before = await generationOf(files, entry);
      const bytes = await files.read(`${entry}/outblob`, maxBlobBytes);
      const certificates = type === "snp" ? await auxiliary(files, entry) : undefined;
      // Somebody else's input in between: the output may be of theirs.
      if ((await generationOf(files, entry)) !== before) continue;
      if (bytes.length === 0) {
        throw new AttestationError(
          "unavailable",
          `${configfsPath} gives an empty report: the host's quoting service (QGS) did not answer.`,
        );
      }
      return { type, bytes, attachments: certificates === undefined ? {} : { certificates } };
    }
    throw new AttestationError("unavailable", `${configfsPath} is changed by somebody else.`);
  });
}

async function generationOf(files: PlatformFiles, entry: string): Promise<string> {
  return fromUtf8(await files.read(`${entry}/generation`, 64)).trim();
}

/** The host's table of certificates; a convenience that not every host gives. */
async function auxiliary(files: PlatformFiles, entry: string): Promise<Uint8Array | undefined> {
  try {
    const table = await files.read(`${entry}/auxblob`, maxBlobBytes);
    return table.some((byte) => byte !== 0) ? table : undefined;
  } catch {
    return undefined;
  }
}
