/** What is in collateral and how long it holds. Nothing of it is verified here. */
import { type Crypto, equalBytes, fromUtf8 } from "@vivarium/core";
import { parseEnclaveIdentity, parseTcbInfo } from "../dcap/bodies.ts";
import { dcapEntry, parseDcapCollateral } from "../dcap/collateral.ts";
import type { Collateral } from "../evidence.ts";
import { fingerprint } from "../keys.ts";
import { publicKeyOf } from "../tpm/quote.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { parseCrl } from "../x509/crl.ts";
import { decodePem, isPem } from "../x509/pem.ts";
import type { Certificate, RevocationCrl } from "../x509/types.ts";

export interface CollateralItem {
  /** Name of the entry it is in. */
  readonly entry: string;
  /** For people. */
  readonly what: string;
  /** Milliseconds since the epoch; undefined for what has no dates. */
  readonly notBefore: number | undefined;
  readonly notAfter: number | undefined;
}

/** @throws AttestationError `malformed` for what claims a form that it does not have. */
export async function describeCollateral(
  crypto: Crypto,
  collateral: Collateral,
): Promise<readonly CollateralItem[]> {
  const items = await Promise.all(
    Object.entries(collateral).map(([entry, bytes]) => describe(crypto, entry, bytes)),
  );
  return items.flat();
}

async function describe(
  crypto: Crypto,
  entry: string,
  bytes: Uint8Array,
): Promise<readonly CollateralItem[]> {
  const plain = (what: string): CollateralItem => ({
    ...{ entry, what },
    notBefore: undefined,
    notAfter: undefined,
  });
  if (entry === dcapEntry) return dcap(entry, bytes);
  if (entry === "crl") return [crlItem(entry, "CRL", parseCrl("CRL", bytes))];
  if (entry === "certificates") {
    const ders = isPem(bytes) ? decodePem("Certificates", bytes) : undefined;
    // Hygon's and AMD's binary certificates have no dates.
    if (ders === undefined) return [plain(`binary certificates, ${bytes.length} bytes`)];
    return ders.map((der) => certificateItem(entry, parseCertificate("Certificate", der)));
  }
  if (/^ak(-\d+)?$/.test(entry)) {
    return [plain(`attestation key ${await fingerprint(crypto, publicKeyOf(bytes).spki)}`)];
  }
  return [plain(`${bytes.length} bytes`)];
}

function dcap(entry: string, bytes: Uint8Array): readonly CollateralItem[] {
  const { tcbInfo, qeIdentity, rootCrl, pckCrl } = parseDcapCollateral(bytes);
  const info = parseTcbInfo(fromUtf8(tcbInfo.bytes));
  const identity = parseEnclaveIdentity(fromUtf8(qeIdentity.bytes));
  const dated = (what: string, from: string, to: string): CollateralItem => ({
    ...{ entry, what },
    notBefore: Date.parse(from),
    notAfter: Date.parse(to),
  });
  const number = info.tcbEvaluationDataNumber;
  const chains = [...tcbInfo.chain, ...qeIdentity.chain];
  const distinct = chains.filter(
    ({ raw }, i) => chains.findIndex((other) => equalBytes(other.raw, raw)) === i,
  );
  return [
    dated(
      `${info.id} TCB info of ${info.fmspc}, evaluation ${number}`,
      info.issueDate,
      info.nextUpdate,
    ),
    dated(`${identity.id} identity`, identity.issueDate, identity.nextUpdate),
    crlItem(entry, "PCK CRL", pckCrl),
    crlItem(entry, "root CA CRL", rootCrl),
    ...distinct.map((certificate) => certificateItem(entry, certificate)),
  ];
}

function crlItem(
  entry: string,
  what: string,
  { thisUpdate, nextUpdate }: RevocationCrl,
): CollateralItem {
  return { entry, what, notBefore: thisUpdate, notAfter: nextUpdate };
}

function certificateItem(entry: string, certificate: Certificate): CollateralItem {
  const { commonName, notBefore, notAfter } = certificate;
  return { entry, what: `certificate ${commonName ?? "without a name"}`, notBefore, notAfter };
}
