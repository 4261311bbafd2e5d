/** A synthetic AWS: root, regional authorities and documents. */
import type { Crypto } from "@vivarium/core";
import { type CborValue, encodeCbor } from "../../src/cbor.ts";
import type { Attester } from "../../src/index.ts";
import { signCose } from "./cose.ts";
import { type CertificateOptions, type MadeCertificate, makeCertificate } from "./x509.ts";

export interface SyntheticAws {
  readonly crypto: Crypto;
  readonly now: number;
  readonly root: MadeCertificate;
  readonly zone: MadeCertificate;
  readonly leaf: MadeCertificate;
}

export interface NitroLies {
  readonly debug?: boolean;
  readonly digest?: string;
  readonly bundle?: readonly Uint8Array[];
  readonly pcrBytes?: number;
  readonly leaf?: Partial<CertificateOptions>;
  readonly zone?: Partial<CertificateOptions>;
}

export async function syntheticAws(
  crypto: Crypto,
  now: number,
  lies: NitroLies = {},
): Promise<SyntheticAws> {
  const es384 = { algorithm: "ES384" } as const;
  const root = await makeCertificate(crypto, now, {
    name: "aws.nitro-enclaves",
    ca: true,
    ...es384,
  });
  const zone = await makeCertificate(crypto, now, {
    name: "zone",
    issuer: root,
    ca: true,
    ...es384,
    ...lies.zone,
  });
  const leaf = await makeCertificate(crypto, now, {
    name: "i-0123456789abcdef0-enc0123",
    issuer: zone,
    notBefore: now - 60_000,
    notAfter: now + 3 * 3_600_000,
    ...es384,
    ...lies.leaf,
  });
  return { crypto, now, root, zone, leaf };
}

export async function makeDocument(
  aws: SyntheticAws,
  userData: Uint8Array | null,
  lies: NitroLies = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const pcr = (i: number): Uint8Array =>
    new Uint8Array(lies.pcrBytes ?? 48).fill(lies.debug === true && i < 3 ? 0 : i + 1);
  const payload = encodeCbor(
    new Map<string, CborValue>([
      ["module_id", aws.leaf.name],
      ["digest", lies.digest ?? "SHA384"],
      ["timestamp", aws.now],
      ["pcrs", new Map([0, 1, 2, 3, 4, 8].map((i) => [i, pcr(i)] as const))],
      ["certificate", aws.leaf.der],
      ["cabundle", lies.bundle ?? [aws.root.der, aws.zone.der]],
      ["public_key", null],
      ["user_data", userData],
      ["nonce", null],
    ]),
  );
  return await signCose(aws.leaf.signer, payload, false);
}

export function nitroAttester(aws: SyntheticAws, debug: boolean): Attester {
  return {
    type: "nitro",
    collect: async (binding) => ({
      type: "nitro",
      bytes: await makeDocument(aws, binding, { debug }),
      attachments: {},
    }),
  };
}
