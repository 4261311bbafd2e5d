/**
 * Launch digests of AMD's guests, from what they are launched with: so that a policy can pin what was built,
 * and not what some machine once reported. Source: SEV-SNP firmware ABI 56860, 8.17.2 (SNP); SEV API 55766,
 * 6.5 (SEV, SEV-ES).
 */
import { type Crypto, concat } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import { type Firmware, type FirmwareSection, pageBytes, parseFirmware } from "./firmware.ts";
import { type DirectBoot, hashPage, hashTable } from "./hashes.ts";
import { measureLimits } from "./limits.ts";
import { firstResetVector, type Machine, vmsaPage } from "./vmsa.ts";

export interface SevLaunch {
  /** OVMF image. */
  readonly firmware: Uint8Array;
  /** Absent: the guest boots from its disk, and nothing of that disk is in the digest. */
  readonly boot?: DirectBoot;
}

export interface SevEsLaunch extends SevLaunch {
  readonly machine: Machine;
  /** Virtual processors. */
  readonly processors: number;
}

export interface SnpLaunch extends SevEsLaunch {
  /** SEV_FEATURES: 0x1 is SNP alone, which QEMU 8 and later set; Linux 6.9 and later add 0x20. */
  readonly features: number;
  /** Digest of the image alone (`snpFirmwareDigest`), for whoever has only its end. */
  readonly firmwareDigest?: Uint8Array;
}

const digestBytes = 48;
/** PAGE_TYPE. */
const pages = { normal: 1, vmsa: 2, zero: 3, unmeasured: 4, secrets: 5, cpuid: 6 } as const;
const pageInfoBytes = 0x70;
/** Where the firmware says that processors' state lies: no real address. */
const vmsaAddress = 0xffff_ffff_f000n;
const noContents = new Uint8Array(digestBytes);

/**
 * MEASUREMENT of an SNP report, 48 bytes.
 * @throws AttestationError `malformed` for an image without what the launch needs of it.
 */
export async function snpLaunchDigest(
  crypto: Crypto,
  launch: SnpLaunch,
): Promise<Uint8Array<ArrayBuffer>> {
  const firmware = parseFirmware(launch.firmware);
  const digest = new LaunchDigest(crypto, await firmwareDigestOf(crypto, firmware, launch));
  await addSections(crypto, digest, firmware, launch);
  for (const page of processorPages(firmware, launch, BigInt(launch.features))) {
    await digest.add(pages.vmsa, vmsaAddress, await crypto.digest("SHA-384", page));
  }
  return digest.value;
}

/** The part of {@link snpLaunchDigest} that is of the image, 48 bytes. */
export async function snpFirmwareDigest(
  crypto: Crypto,
  image: Uint8Array,
): Promise<Uint8Array<ArrayBuffer>> {
  const { bytes, address } = parseFirmware(image);
  const digest = new LaunchDigest(crypto, noContents);
  for (let offset = 0; offset < bytes.length; offset += pageBytes) {
    const page = bytes.subarray(offset, offset + pageBytes);
    await digest.add(pages.normal, BigInt(address + offset), await crypto.digest("SHA-384", page));
  }
  return digest.value;
}

/** Launch digest of an SEV-ES guest, 32 bytes. @throws AttestationError `malformed`. */
export async function sevEsLaunchDigest(
  crypto: Crypto,
  launch: SevEsLaunch,
): Promise<Uint8Array<ArrayBuffer>> {
  const firmware = parseFirmware(launch.firmware);
  const start = await launchData(crypto, firmware, launch.boot);
  return await crypto.digest("SHA-256", concat(...start, ...processorPages(firmware, launch, 0n)));
}

/** Launch digest of an SEV guest, 32 bytes. @throws AttestationError `malformed`. */
export async function sevLaunchDigest(
  crypto: Crypto,
  launch: SevLaunch,
): Promise<Uint8Array<ArrayBuffer>> {
  const firmware = parseFirmware(launch.firmware);
  return await crypto.digest(
    "SHA-256",
    concat(...(await launchData(crypto, firmware, launch.boot))),
  );
}

/** The launch digest, page by page. */
class LaunchDigest {
  value: Uint8Array<ArrayBuffer>;
  readonly #crypto: Crypto;

  constructor(crypto: Crypto, seed: Uint8Array) {
    this.#crypto = crypto;
    this.value = new Uint8Array(seed);
  }

  /** PAGE_INFO (56860, table 67), whose digest is the next value. */
  async add(type: number, address: bigint, contents: Uint8Array): Promise<void> {
    const info = new Uint8Array(pageInfoBytes);
    info.set(this.value, 0);
    info.set(contents, digestBytes);
    const view = new DataView(info.buffer);
    view.setUint16(96, pageInfoBytes, true);
    view.setUint8(98, type);
    // No migration image, and no permissions of other privilege levels: zeros.
    view.setBigUint64(104, address, true);
    this.value = await this.#crypto.digest("SHA-384", info);
  }

  async addRange(type: number, { address, size }: FirmwareSection): Promise<void> {
    for (let offset = 0; offset < size; offset += pageBytes) {
      await this.add(type, BigInt(address + offset), noContents);
    }
  }
}

async function firmwareDigestOf(
  crypto: Crypto,
  firmware: Firmware,
  { firmwareDigest }: SnpLaunch,
): Promise<Uint8Array> {
  if (firmwareDigest === undefined) return await snpFirmwareDigest(crypto, firmware.bytes);
  if (firmwareDigest.length !== digestBytes) fail(`A firmware's digest has ${digestBytes} bytes.`);
  return firmwareDigest;
}

async function addSections(
  crypto: Crypto,
  digest: LaunchDigest,
  firmware: Firmware,
  { machine, boot }: SnpLaunch,
): Promise<void> {
  const { sections } = firmware;
  const { hypervisor } = machine;
  if (boot !== undefined && !sections.some(({ kind }) => kind === "hashes")) {
    fail("The firmware has no page for a kernel's hashes: this kernel would not be measured.");
  }
  for (const section of sections) {
    // EC2 adds this page after all others.
    if (section.kind === "cpuid" && hypervisor === "ec2") continue;
    await addSection(crypto, digest, firmware, section, { hypervisor, boot });
  }
  if (hypervisor !== "ec2") return;
  for (const section of sections.filter(({ kind }) => kind === "cpuid")) {
    await digest.add(pages.cpuid, BigInt(section.address), noContents);
  }
}

async function addSection(
  crypto: Crypto,
  digest: LaunchDigest,
  firmware: Firmware,
  section: FirmwareSection,
  of: { readonly hypervisor: Machine["hypervisor"]; readonly boot: DirectBoot | undefined },
): Promise<void> {
  const { kind, address, size } = section;
  switch (kind) {
    case "memory":
      return await digest.addRange(
        of.hypervisor === "gce" ? pages.unmeasured : pages.zero,
        section,
      );
    case "svsm-calling-area":
      return await digest.addRange(pages.zero, section);
    case "secrets":
      return await digest.add(pages.secrets, BigInt(address), noContents);
    case "cpuid":
      return await digest.add(pages.cpuid, BigInt(address), noContents);
    case "hashes": {
      if (of.boot === undefined) return await digest.addRange(pages.zero, section);
      const table = firmware.hashTable;
      if (table === undefined || size !== pageBytes) fail("The firmware has no place for hashes.");
      const page = await hashPage(crypto, of.boot, table);
      return await digest.add(pages.normal, BigInt(address), await crypto.digest("SHA-384", page));
    }
    default:
      return kind satisfies never;
  }
}

/** What LAUNCH_UPDATE_DATA encrypts. */
async function launchData(
  crypto: Crypto,
  firmware: Firmware,
  boot: DirectBoot | undefined,
): Promise<readonly Uint8Array[]> {
  if (boot === undefined) return [firmware.bytes];
  if (firmware.hashTable === undefined) {
    fail("The firmware has no place for a kernel's hashes: this kernel would not be measured.");
  }
  return [firmware.bytes, await hashTable(crypto, boot)];
}

/** One page a processor; all but the first start where the firmware says. */
function processorPages(
  firmware: Firmware,
  { machine, processors }: SevEsLaunch,
  features: bigint,
): readonly Uint8Array[] {
  const most = measureLimits.processors;
  if (!Number.isInteger(processors) || processors < 1 || processors > most) {
    fail(`A guest has 1 to ${most} processors.`);
  }
  const first = vmsaPage(machine, firstResetVector, features);
  if (processors === 1) return [first];
  const { resetVector } = firmware;
  if (resetVector === undefined) fail("The firmware does not say where further processors start.");
  const others = vmsaPage(machine, resetVector, features);
  return [first, ...Array.from({ length: processors - 1 }, () => others)];
}

function fail(message: string): never {
  throw new AttestationError("malformed", message);
}
