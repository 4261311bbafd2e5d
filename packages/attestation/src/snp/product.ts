/** Which processor made a report, and what the bytes of its TCB versions mean. Source: 56860 table 3. */
import type { SnpReport, TcbBytes } from "./report.ts";

/** Bergamo and Siena have Genoa's keys and layout. */
export type SnpProduct = "Milan" | "Genoa" | "Turin";

/** Security versions of a TCB; `fmc` on Turin only. */
export interface TcbVersion {
  readonly fmc: number | undefined;
  readonly bootloader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
}

/** By CPUID, which reports have from version 3 on; undefined for a model that is not known. */
export function productOfCpuid(cpuid: NonNullable<SnpReport["cpuid"]>): SnpProduct | undefined {
  const { family, model } = cpuid;
  if (family === 0x19) {
    if (model <= 0x0f) return "Milan";
    return model <= 0x1f || (model >= 0xa0 && model <= 0xaf) ? "Genoa" : undefined;
  }
  return family === 0x1a && model <= 0x11 ? "Turin" : undefined;
}

/** By the product name of a VCEK (`Milan-B0`) or VLEK (`Milan`). */
export function productOfName(name: string): SnpProduct | undefined {
  const [family] = name.split("-");
  if (family === "Bergamo" || family === "Siena") return "Genoa";
  return (["Milan", "Genoa", "Turin"] as const).find((product) => product === family);
}

export function tcbVersion(product: SnpProduct, tcb: TcbBytes): TcbVersion {
  const [b0 = 0, b1 = 0, b2 = 0, b3 = 0, , , b6 = 0, b7 = 0] = tcb;
  return product === "Turin"
    ? { fmc: b0, bootloader: b1, tee: b2, snp: b3, microcode: b7 }
    : { fmc: undefined, bootloader: b0, tee: b1, snp: b6, microcode: b7 };
}

/** True if no component of `a` is below that of `b`. */
export function atLeast(a: TcbVersion, b: TcbVersion): boolean {
  return (
    (a.fmc ?? 0) >= (b.fmc ?? 0) &&
    a.bootloader >= b.bootloader &&
    a.tee >= b.tee &&
    a.snp >= b.snp &&
    a.microcode >= b.microcode
  );
}

export function sameTcb(a: TcbVersion, b: TcbVersion): boolean {
  return atLeast(a, b) && atLeast(b, a);
}

/** `fmc 0, bootloader 1, tee 0, snp 2, microcode 71`. */
export function tcbText(tcb: TcbVersion): string {
  return Object.entries(tcb)
    .filter(([, svn]) => svn !== undefined)
    .map(([name, svn]) => `${name} ${svn}`)
    .join(", ");
}
