/**
 * A virtual processor's state at launch, which SEV-ES and SNP measure as one page (VMSA). Layout: AMD APM
 * volume 2, table B-4. Values: what each hypervisor sets, as virtee/sev-snp-measure has found them.
 */
import { AttestationError } from "../errors.ts";
import { pageBytes } from "./firmware.ts";

/** Whose launch it is: each sets other registers. Only QEMU shows the processor's signature to the guest. */
export type Machine =
  | {
      readonly hypervisor: "qemu";
      /** CPUID leaf 1, EAX: see `cpuSignature` and `cpuSignatures`. */
      readonly processor: number;
    }
  | { readonly hypervisor: "ec2" | "gce" };

/** Where the first processor starts. */
export const firstResetVector = 0xffff_fff0;

const at = {
  ...{ es: 0x00, cs: 0x10, ss: 0x20, ds: 0x30, fs: 0x40, gs: 0x50 },
  ...{ gdtr: 0x60, ldtr: 0x70, idtr: 0x80, tr: 0x90 },
  ...{ efer: 0xd0, cr4: 0x148, cr0: 0x158, dr7: 0x160, dr6: 0x168, rflags: 0x170, rip: 0x178 },
  ...{ pat: 0x268, rdx: 0x310, sevFeatures: 0x3b0, xcr0: 0x3e8, mxcsr: 0x408, fcw: 0x410 },
} as const;

interface Registers {
  readonly cs: number;
  readonly ss: number;
  readonly tr: number;
  readonly rdx: number;
  readonly mxcsr: number;
  readonly fcw: number;
  readonly pat: bigint;
}

const architecturalPat = 0x0007_0406_0007_0406n;

function registersOf(machine: Machine, eip: number): Registers {
  switch (machine.hypervisor) {
    case "qemu":
      return {
        ...{ cs: 0x9b, ss: 0x93, tr: 0x8b, rdx: machine.processor },
        ...{ mxcsr: 0x1f80, fcw: 0x37f, pat: architecturalPat },
      };
    case "ec2":
      return {
        ...{ cs: eip === firstResetVector ? 0x9a : 0x9b, ss: 0x92, tr: 0x83, rdx: 0x600 },
        ...{ mxcsr: 0, fcw: 0, pat: architecturalPat },
      };
    case "gce":
      return {
        ...{ cs: 0x9b, ss: 0x93, tr: 0x8b, rdx: 0x600 },
        ...{ mxcsr: 0, fcw: 0, pat: 0x0007_0106n },
      };
    default:
      return machine satisfies never;
  }
}

/**
 * 4,096 bytes.
 * @param eip where the processor starts.
 * @param features SEV_FEATURES of the guest; 0 for SEV-ES.
 */
export function vmsaPage(machine: Machine, eip: number, features: bigint): Uint8Array<ArrayBuffer> {
  const registers = registersOf(machine, eip);
  const page = new Uint8Array(pageBytes);
  const view = new DataView(page.buffer);
  const segment = (offset: number, attributes: number, selector = 0, base = 0): void => {
    view.setUint16(offset, selector, true);
    view.setUint16(offset + 2, attributes, true);
    view.setUint32(offset + 4, 0xffff, true);
    view.setBigUint64(offset + 8, BigInt(base), true);
  };
  const u64 = (offset: number, value: bigint): void => view.setBigUint64(offset, value, true);
  for (const data of [at.es, at.ds, at.fs, at.gs]) segment(data, 0x93);
  segment(at.cs, registers.cs, 0xf000, (eip & 0xffff_0000) >>> 0);
  segment(at.ss, registers.ss);
  segment(at.gdtr, 0);
  segment(at.idtr, 0);
  segment(at.ldtr, 0x82);
  segment(at.tr, registers.tr);
  // KVM sets EFER.SVME and CR4.MCE in guests.
  u64(at.efer, 0x1000n);
  u64(at.cr4, 0x40n);
  u64(at.cr0, 0x10n);
  u64(at.dr7, 0x400n);
  u64(at.dr6, 0xffff_0ff0n);
  u64(at.rflags, 0x2n);
  u64(at.rip, BigInt(eip & 0xffff));
  u64(at.pat, registers.pat);
  u64(at.rdx, BigInt(registers.rdx));
  u64(at.sevFeatures, features);
  u64(at.xcr0, 0x1n);
  view.setUint32(at.mxcsr, registers.mxcsr, true);
  view.setUint16(at.fcw, registers.fcw, true);
  return page;
}

/** CPUID leaf 1, EAX. Source: AMD 25481. @throws AttestationError `malformed` out of range. */
export function cpuSignature(family: number, model: number, stepping: number): number {
  const fits = (value: number, max: number): boolean =>
    Number.isInteger(value) && value >= 0 && value <= max;
  if (!fits(family, 0xf + 0xff) || !fits(model, 0xff) || !fits(stepping, 0xf)) {
    const text =
      "A processor has a family of up to 270, a model of up to 255, a stepping of up to 15.";
    throw new AttestationError("malformed", text);
  }
  const base = Math.min(family, 0xf);
  const extended = family - base;
  return (
    ((extended << 20) | ((model >>> 4) << 16) | (base << 8) | ((model & 0xf) << 4) | stepping) >>> 0
  );
}

const naples = cpuSignature(23, 1, 2);
const rome = cpuSignature(23, 49, 0);
const milan = cpuSignature(25, 1, 1);
const genoa = cpuSignature(25, 17, 0);
const turin = cpuSignature(26, 0, 0);

/** By the names of QEMU's processor models. */
export const cpuSignatures: ReadonlyMap<string, number> = new Map([
  ...["", "-v1", "-v2", "-IBPB", "-v3", "-v4"].map(
    (version) => [`EPYC${version}`, naples] as const,
  ),
  ...["", "-v1", "-v2", "-v3"].map((version) => [`EPYC-Rome${version}`, rome] as const),
  ...["", "-v1", "-v2"].map((version) => [`EPYC-Milan${version}`, milan] as const),
  ...["", "-v1"].map((version) => [`EPYC-Genoa${version}`, genoa] as const),
  ["EPYC-Turin", turin] as const,
]);
