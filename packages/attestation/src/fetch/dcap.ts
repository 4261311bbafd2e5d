/**
 * Collateral of SGX and TDX quotes from Intel's PCS or a PCCS (of a data centre or a cloud). Source: Intel
 * SGX and TDX Provisioning Certification Service API, version 4.
 */
import { fromUtf8, toHex, utf8 } from "@vivarium/core";
import { type DcapCollateral, dcapEntry, parseDcapCollateral } from "../dcap/collateral.ts";
import { platformTcbOf } from "../dcap/pck.ts";
import { parseQuote, type Quote } from "../dcap/quote.ts";
import { AttestationError } from "../errors.ts";
import type { Collateral } from "../evidence.ts";
import { parseCertificate } from "../x509/certificate.ts";
import { decodePem } from "../x509/pem.ts";
import type { CollateralSource } from "./source.ts";

/** Intel's own service. Others speak the same: `https://sgx-dcap-server.cn-beijing.aliyuncs.com`, a PCCS. */
export const intelPcs = "https://api.trustedservices.intel.com";
const intelRootCrl = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";

const day = 86_400_000;
const maxBytes = 1024 * 1024;
/** Certification data with a PCK chain in PEM. */
const pckChainType = 5;

/** @param base of a PCS or PCCS, without a path. @throws AttestationError. */
export async function fetchDcap(
  quoteBytes: Uint8Array,
  source: CollateralSource,
  base: string = intelPcs,
): Promise<Collateral> {
  const quote = parseQuote(quoteBytes);
  const { fmspc, authority } = platformOf(quote);
  const tee = quote.kind === "sgx" ? "sgx" : "tdx";
  const from = (path: string): string => `${base}${path}`;
  const [info, identity, pck, root] = await Promise.all([
    source.get({
      name: `dcap/${tee}/tcb/${fmspc}`,
      url: from(`/${tee}/certification/v4/tcb?fmspc=${fmspc}`),
      headers: ["tcb-info-issuer-chain"],
      maxAgeMs: day,
      maxBytes,
    }),
    source.get({
      name: `dcap/${tee}/qe/identity`,
      url: from(`/${tee}/certification/v4/qe/identity`),
      headers: ["sgx-enclave-identity-issuer-chain"],
      maxAgeMs: day,
      maxBytes,
    }),
    source.get({
      name: `dcap/pckcrl/${authority}`,
      url: from(`/sgx/certification/v4/pckcrl?ca=${authority}&encoding=der`),
      headers: ["sgx-pck-crl-issuer-chain"],
      maxAgeMs: day,
      maxBytes,
    }),
    source.get({
      name: "dcap/rootcacrl",
      // Intel publishes it beside the root itself; a PCCS hands it out.
      url: base === intelPcs ? intelRootCrl : from("/sgx/certification/v4/rootcacrl"),
      maxAgeMs: day,
      maxBytes,
    }),
  ]);
  const tcb = signedBody(info.body, "tcbInfo");
  const qe = signedBody(identity.body, "enclaveIdentity");
  const document = {
    tcb_info: tcb.text,
    tcb_info_signature: tcb.signature,
    tcb_info_issuer_chain: chain(info.headers["tcb-info-issuer-chain"]),
    qe_identity: qe.text,
    qe_identity_signature: qe.signature,
    qe_identity_issuer_chain: chain(identity.headers["sgx-enclave-identity-issuer-chain"]),
    pck_crl: crl(pck.body),
    pck_crl_issuer_chain: chain(pck.headers["sgx-pck-crl-issuer-chain"]),
    root_ca_crl: crl(root.body),
  };
  const bytes = utf8(JSON.stringify(document));
  // What is not even of the right form must not reach a bundle.
  const parsed: DcapCollateral = parseDcapCollateral(bytes);
  if (parsed.tcbInfo.text === "") throw malformed("TCB info");
  return { [dcapEntry]: bytes };
}

/** What identifies the platform, by the certificate that came with the quote. */
function platformOf(quote: Quote): { readonly fmspc: string; readonly authority: string } {
  const { type, data } = quote.certification;
  if (type !== pckChainType) {
    throw new AttestationError(
      "malformed",
      `The quote has certification data of type ${type}, without a PCK certificate: its host must supply one.`,
    );
  }
  const [der] = decodePem("PCK chain", data);
  if (der === undefined) throw malformed("PCK chain");
  const leaf = parseCertificate("PCK certificate", der);
  const platform = leaf.issuerCommonName?.includes("Platform") === true;
  return { fmspc: platformTcbOf(leaf).fmspc, authority: platform ? "platform" : "processor" };
}

/** The body exactly as it was signed: cut out of the answer, never written anew. */
function signedBody(answer: Uint8Array, field: string): { text: string; signature: string } {
  const pattern = new RegExp(
    `^\\s*\\{\\s*"${field}"\\s*:\\s*(\\{.*\\})\\s*,\\s*"signature"\\s*:\\s*"([0-9a-fA-F]{128})"\\s*\\}\\s*$`,
    "s",
  );
  const match = pattern.exec(textOf(answer, field));
  if (match === null) throw malformed(field);
  return { text: match[1] as string, signature: match[2] as string };
}

/** PEM, URL-encoded in a header. */
function chain(header: string | undefined): string {
  try {
    const pem = decodeURIComponent(header ?? "");
    if (pem.includes("-----BEGIN CERTIFICATE-----")) return pem;
  } catch {
    // Not URL-encoded: as malformed as any other.
  }
  throw malformed("issuer chain");
}

/** DER of PCS, or its hex of a PCCS. */
function crl(body: Uint8Array): string {
  if (body[0] === 0x30) return toHex(body);
  const text = textOf(body, "CRL").trim();
  if (!/^30(?:[0-9a-fA-F]{2})+$/.test(text)) throw malformed("CRL");
  return text;
}

function textOf(body: Uint8Array, what: string): string {
  try {
    return fromUtf8(body);
  } catch {
    throw malformed(what);
  }
}

function malformed(what: string): AttestationError {
  return new AttestationError("malformed", `The certification service gives no usable ${what}.`);
}
