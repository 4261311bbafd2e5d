/** Certificates and CRLs of a synthetic PKI, signed with P-256 or P-384; runs in browsers too. */
import { type Crypto, fromHex, type Signer } from "@vivarium/core";
import {
  bits,
  boolean,
  commonName,
  ecdsaDer,
  integer,
  octets,
  oid,
  sequence,
  time,
  tlv,
} from "./der.ts";

export interface MadeCertificate {
  readonly der: Uint8Array;
  readonly signer: Signer;
  readonly name: string;
  readonly serial: number;
}

export interface CertificateOptions {
  readonly name: string;
  /** Undefined: self-signed. */
  readonly issuer?: MadeCertificate;
  /** Name that it says its issuer has, where that is a lie. */
  readonly issuerName?: string;
  readonly signer?: Signer;
  readonly algorithm?: "ES256" | "ES384";
  readonly ca?: boolean;
  /** Hex of the BIT STRING; default: for signing certificates of an authority, data otherwise. */
  readonly keyUsage?: string;
  readonly serial?: number;
  readonly notBefore?: number;
  readonly notAfter?: number;
  /** Object identifier, value, critical. */
  readonly extensions?: readonly (readonly [string, Uint8Array, boolean?])[];
}

export const year = 365 * 86_400_000;
const signatureOids = {
  ES256: "1.2.840.10045.4.3.2",
  ES384: "1.2.840.10045.4.3.3",
  EdDSA: "1.3.101.112",
};
let serials = 1000;

export async function makeCertificate(
  crypto: Crypto,
  now: number,
  options: CertificateOptions,
): Promise<MadeCertificate> {
  const { name, issuer, ca = false, extensions = [], algorithm = "ES256" } = options;
  const signer = options.signer ?? (await crypto.generateSigner(algorithm));
  const by = issuer?.signer ?? signer;
  const serial = options.serial ?? serials++;
  const usage = fromHex(options.keyUsage ?? (ca ? "03020106" : "03020780"));
  const all: readonly (readonly [string, Uint8Array, boolean?])[] = [
    ["2.5.29.19", sequence(...(ca ? [boolean(true)] : [])), true],
    ["2.5.29.15", usage, true],
    ...extensions,
  ];
  const signature = sequence(oid(signatureOids[by.algorithm]));
  const tbs = sequence(
    tlv(0xa0, integer(2)),
    integer(serial),
    signature,
    commonName(options.issuerName ?? issuer?.name ?? name),
    sequence(time(options.notBefore ?? now - year), time(options.notAfter ?? now + year)),
    commonName(name),
    signer.publicKey,
    tlv(
      0xa3,
      sequence(
        ...all.map(([id, value, critical = false]) =>
          sequence(oid(id), ...(critical ? [boolean(true)] : []), octets(value)),
        ),
      ),
    ),
  );
  const der = sequence(tbs, signature, bits(ecdsaDer(await by.sign(tbs))));
  return { der, signer, name, serial };
}

export interface CrlOptions {
  readonly revoked?: readonly number[];
  readonly thisUpdate?: number;
  readonly nextUpdate?: number;
  /** Who signs in truth, where that is a lie. */
  readonly signer?: Signer;
}

export async function makeCrl(
  now: number,
  issuer: MadeCertificate,
  options: CrlOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { revoked = [], signer = issuer.signer } = options;
  const signature = sequence(oid(signatureOids[signer.algorithm]));
  const entries = revoked.map((serial) => sequence(integer(serial), time(now - 1000)));
  const tbs = sequence(
    integer(1),
    signature,
    commonName(issuer.name),
    time(options.thisUpdate ?? now - 86_400_000),
    time(options.nextUpdate ?? now + 30 * 86_400_000),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
  );
  return sequence(tbs, signature, bits(ecdsaDer(await signer.sign(tbs))));
}

export function pemOf(...certificates: readonly Uint8Array[]): string {
  return certificates
    .map((der) => {
      const base64 = btoa(String.fromCharCode(...der))
        .replace(/.{64}/g, "$&\n")
        .trimEnd();
      return `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`;
    })
    .join("");
}
