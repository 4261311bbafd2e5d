/** A synthetic AMD: ARK, ASK, VCEK or VLEK, CRL and reports of every version and product. */
import { type Crypto, concat, utf8 } from "@vivarium/core";
import { type Attester, reportDataFor } from "../../src/index.ts";
import type { SnpProduct } from "../../src/snp/product.ts";
import { integer, octets, tlv } from "./der.ts";
import {
  type CertificateOptions,
  type CrlOptions,
  type MadeCertificate,
  makeCertificate,
  makeCrl,
  pemOf,
} from "./x509.ts";

export interface SnpLies {
  readonly product?: SnpProduct;
  readonly version?: number;
  readonly vlek?: boolean;
  readonly ark?: Partial<CertificateOptions>;
  readonly ask?: Partial<CertificateOptions>;
  readonly leaf?: Partial<CertificateOptions>;
  /** TCB that the leaf names: bootloader, tee, snp, microcode. */
  readonly leafTcb?: readonly [number, number, number, number];
  readonly hardwareId?: Uint8Array;
  /** The older coding of the hardware id. */
  readonly rawHardwareId?: boolean;
  readonly productName?: string;
  /** `false`: none is given. */
  readonly crl?: ((made: SnpMade) => CrlOptions) | false;
}

export interface SnpMade {
  readonly ark: MadeCertificate;
  readonly ask: MadeCertificate;
  readonly leaf: MadeCertificate;
}

export interface SyntheticAmd extends SnpMade {
  readonly crypto: Crypto;
  readonly lies: SnpLies;
  readonly collateral: Readonly<Record<string, Uint8Array>>;
}

const arc = "1.3.6.1.4.1.3704.1";
export const chipId: Uint8Array = Uint8Array.from({ length: 64 }, (_, i) => i + 1);
const tcb = [3, 0, 8, 115] as const;

export async function syntheticAmd(
  crypto: Crypto,
  now: number,
  lies: SnpLies = {},
): Promise<SyntheticAmd> {
  const { product = "Milan", vlek = false, leafTcb = tcb } = lies;
  const turin = product === "Turin";
  const es384 = { algorithm: "ES384" } as const;
  const ark = await makeCertificate(crypto, now, {
    name: `ARK-${product}`,
    ca: true,
    ...es384,
    ...lies.ark,
  });
  const name = vlek ? `SEV-VLEK-${product}` : `SEV-${product}`;
  const ask = await makeCertificate(crypto, now, {
    name,
    issuer: ark,
    ca: true,
    ...es384,
    ...lies.ask,
  });
  const hardwareId = lies.hardwareId ?? (turin ? chipId.slice(0, 8) : chipId);
  const [bootloader, tee, snp, microcode] = leafTcb;
  const leaf = await makeCertificate(crypto, now, {
    name: vlek ? "SEV-VLEK" : "SEV-VCEK",
    issuer: ask,
    ...es384,
    extensions: [
      [`${arc}.1`, integer(0)],
      [`${arc}.2`, tlv(0x16, utf8(lies.productName ?? `${product}-B0`))],
      [`${arc}.3.1`, integer(bootloader)],
      [`${arc}.3.2`, integer(tee)],
      [`${arc}.3.3`, integer(snp)],
      [`${arc}.3.8`, integer(microcode)],
      ...(turin ? [[`${arc}.3.9`, integer(0)] as const] : []),
      vlek
        ? [`${arc}.5`, tlv(0x16, utf8("CN=cloud"))]
        : [`${arc}.4`, lies.rawHardwareId === true ? hardwareId : octets(hardwareId)],
    ],
    ...lies.leaf,
  });
  const made = { ark, ask, leaf };
  const crl = lies.crl === false ? {} : { crl: await makeCrl(now, ark, lies.crl?.(made)) };
  const certificates = utf8(pemOf(leaf.der, ask.der));
  return { ...made, crypto, lies, collateral: { certificates, ...crl } };
}

export interface ReportLies {
  readonly policy?: bigint;
  readonly vmpl?: number;
  readonly keyInfo?: number;
  readonly chipId?: Uint8Array;
  readonly reported?: Uint8Array;
  readonly current?: Uint8Array;
  readonly committed?: Uint8Array;
  readonly family?: number;
  readonly model?: number;
  readonly algorithm?: number;
}

/** TCB bytes of the product. */
export function tcbBytes(
  product: SnpProduct,
  [bootloader, tee, snp, microcode]: readonly number[] = tcb,
): Uint8Array {
  return product === "Turin"
    ? Uint8Array.of(0, bootloader ?? 0, tee ?? 0, snp ?? 0, 0, 0, 0, microcode ?? 0)
    : Uint8Array.of(bootloader ?? 0, tee ?? 0, 0, 0, 0, 0, snp ?? 0, microcode ?? 0);
}

export async function makeReport(
  amd: SyntheticAmd,
  reportData: Uint8Array,
  lies: ReportLies = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { product = "Milan", version = 3, vlek = false } = amd.lies;
  const out = new Uint8Array(1184);
  const view = new DataView(out.buffer);
  view.setUint32(0, version, true);
  view.setBigUint64(8, lies.policy ?? 0x3_0000n, true);
  view.setUint32(0x30, lies.vmpl ?? 0, true);
  view.setUint32(0x34, lies.algorithm ?? 1, true);
  view.setBigUint64(0x40, 0x25n, true);
  view.setUint32(0x48, lies.keyInfo ?? (vlek ? 4 : 0), true);
  const own = tcbBytes(product);
  out.set(lies.current ?? own, 0x38);
  out.set(reportData, 0x50);
  out.fill(0x33, 0x90, 0xc0);
  out.fill(0x44, 0xc0, 0xe0);
  out.fill(0x55, 0x140, 0x160);
  out.set(lies.reported ?? own, 0x180);
  if (version >= 3) {
    const models = { Milan: [0x19, 0x01], Genoa: [0x19, 0x11], Turin: [0x1a, 0x02] } as const;
    const [family, model] = models[product];
    out[0x188] = lies.family ?? family;
    out[0x189] = lies.model ?? model;
    out[0x18a] = 1;
  }
  const chip = new Uint8Array(64);
  if (!vlek) chip.set(product === "Turin" ? chipId.slice(0, 8) : chipId);
  out.set(lies.chipId ?? chip, 0x1a0);
  out.set(lies.committed ?? own, 0x1e0);
  out.set([1, 55, 1, 0, 1, 55, 1, 0], 0x1e8);
  out.set(own, 0x1f0);
  if (version >= 5) out.fill(1, 0x1f8, 0x1f9).fill(1, 0x200, 0x201);
  const signature = await amd.leaf.signer.sign(out.subarray(0, 0x2a0));
  out.set(new Uint8Array(signature.subarray(0, 48)).reverse(), 0x2a0);
  out.set(new Uint8Array(signature.subarray(48)).reverse(), 0x2e8);
  return out;
}

export function snpAttester(amd: SyntheticAmd, debug: boolean): Attester {
  return {
    type: "snp",
    collect: async (binding) => {
      const policy = debug ? 0xb_0000n : 0x3_0000n;
      const bytes = await makeReport(amd, await reportDataFor(amd.crypto, "snp", binding), {
        policy,
      });
      return { type: "snp", bytes, attachments: {} };
    },
  };
}

/** The kernel's table of certificates. */
export function certificateTable(...certificates: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const header = 24 * (certificates.length + 1);
  const table = new Uint8Array(header);
  const view = new DataView(table.buffer);
  let offset = header;
  for (const [i, certificate] of certificates.entries()) {
    table.fill(i + 1, 24 * i, 24 * i + 16);
    view.setUint32(24 * i + 16, offset, true);
    view.setUint32(24 * i + 20, certificate.length, true);
    offset += certificate.length;
  }
  return concat(table, ...certificates);
}
