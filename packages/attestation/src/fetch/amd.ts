/** Certificates of AMD's key distribution service. Source: VCEK Certificate and KDS Interface Specification (57230). */
import { fromUtf8, toHex, utf8 } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { Collateral } from "../evidence.ts";
import { productOfCpuid, type SnpProduct, tcbVersion } from "../snp/product.ts";
import { parseSnpReport, type SnpReport } from "../snp/report.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { parseCrl } from "../x509/crl.ts";
import { decodePem } from "../x509/pem.ts";
import type { CollateralSource } from "./source.ts";

export const amdKds = "https://kdsintf.amd.com";
const day = 86_400_000;
const maxBytes = 256 * 1024;
const products: readonly SnpProduct[] = ["Milan", "Genoa", "Turin"];

/**
 * VCEK (unless the host gives a VLEK), chain and CRL for a report.
 * @param base of the service or a mirror. @throws AttestationError.
 */
export async function fetchAmd(
  reportBytes: Uint8Array,
  source: CollateralSource,
  base: string = amdKds,
): Promise<Collateral> {
  const report = parseSnpReport(reportBytes);
  const vlek = report.signingKey === 1;
  const { product, leaf } = vlek
    ? { product: await productOf(report, source, base), leaf: undefined }
    : await vcek(report, source, base);
  const kind = vlek ? "vlek" : "vcek";
  const [chain, crl] = await Promise.all([
    source.get({
      name: `snp/${kind}/${product}/cert_chain`,
      url: `${base}/${kind}/v1/${product}/cert_chain`,
      maxAgeMs: 30 * day,
      maxBytes,
    }),
    source.get({
      name: `snp/${kind}/${product}/crl`,
      url: `${base}/${kind}/v1/${product}/crl`,
      maxAgeMs: day,
      maxBytes,
    }),
  ]);
  const authorities = decodePem("AMD certificate chain", textOf(chain.body));
  for (const der of authorities) parseCertificate("AMD certificate", der);
  parseCrl("AMD CRL", crl.body);
  const pems = leaf === undefined ? authorities : [leaf, ...authorities];
  return { certificates: utf8(pems.map(pem).join("")), crl: crl.body };
}

/** Named by the report from version 3 on; before, the service is asked for each. */
async function productOf(
  report: SnpReport,
  source: CollateralSource,
  base: string,
): Promise<SnpProduct> {
  const product = report.cpuid === undefined ? undefined : productOfCpuid(report.cpuid);
  if (product !== undefined) return product;
  if (report.cpuid !== undefined || report.signingKey === 1) {
    throw new AttestationError("malformed", "The report does not say which processor made it.");
  }
  return (await vcek(report, source, base)).product;
}

async function vcek(
  report: SnpReport,
  source: CollateralSource,
  base: string,
): Promise<{ readonly product: SnpProduct; readonly leaf: Uint8Array }> {
  if (report.chipId.every((byte) => byte === 0)) {
    throw new AttestationError(
      "malformed",
      "The host masks the chip's identity: no VCEK can be asked for.",
    );
  }
  const named = report.cpuid === undefined ? undefined : productOfCpuid(report.cpuid);
  let problem: unknown;
  for (const product of named === undefined ? products : [named]) {
    const { fmc, bootloader, tee, snp, microcode } = tcbVersion(product, report.reportedTcb);
    // Turin's identity has eight bytes; the rest of the field is zero.
    const chip = toHex(product === "Turin" ? report.chipId.subarray(0, 8) : report.chipId);
    const levels = [
      ...(fmc === undefined ? [] : [`fmcSPL=${fmc}`]),
      `blSPL=${bootloader}&teeSPL=${tee}&snpSPL=${snp}&ucodeSPL=${microcode}`,
    ].join("&");
    try {
      const { body } = await source.get({
        name: `snp/vcek/${product}/${chip}?${levels}`,
        url: `${base}/vcek/v1/${product}/${chip}?${levels}`,
        // A VCEK is the chip's for this TCB for ever, and the service gives few in a minute.
        maxAgeMs: 365 * day,
        maxBytes,
      });
      parseCertificate("VCEK", body);
      return { product, leaf: body };
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

function textOf(body: Uint8Array): string {
  try {
    return fromUtf8(body);
  } catch (cause) {
    throw new AttestationError("malformed", "The certificate chain is not text.", { cause });
  }
}

function pem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString("base64")
    .replaceAll(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}
