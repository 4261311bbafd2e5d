/**
 * A synthetic Intel: root, PCK and TCB signing certificates, CRLs, TCB info, QE identity and quotes of
 * every version, with a switch for each lie.
 */

import { type Crypto, concat, type Signer, toHex, utf8 } from "@vivarium/core";
import { sgxExtension } from "../../src/dcap/pck.ts";
import { type Attester, reportDataFor } from "../../src/index.ts";
import { enumerated, integer, octets, oid, sequence } from "./der.ts";
import {
  type CertificateOptions,
  type CrlOptions,
  type MadeCertificate,
  makeCertificate,
  makeCrl,
  pemOf,
} from "./x509.ts";

export interface DcapLies {
  readonly root?: Partial<CertificateOptions>;
  readonly pckCa?: Partial<CertificateOptions>;
  readonly pck?: Partial<CertificateOptions>;
  readonly tcbSigner?: Partial<CertificateOptions>;
  readonly rootCrl?: (made: Made) => CrlOptions;
  readonly pckCrl?: (made: Made) => CrlOptions;
  readonly tcbInfo?: Readonly<Record<string, unknown>>;
  readonly qeIdentity?: Readonly<Record<string, unknown>>;
  /** Rewrites a signed body after it was signed. */
  readonly afterSigning?: (text: string) => string;
  /** SVNs of the platform's SGX components. */
  readonly components?: readonly number[];
  readonly fmspc?: string;
  readonly pceId?: string;
}

export interface Made {
  readonly root: MadeCertificate;
  readonly pckCa: MadeCertificate;
  readonly pck: MadeCertificate;
  readonly tcbSigner: MadeCertificate;
}

export interface SyntheticIntel extends Made {
  readonly crypto: Crypto;
  readonly now: number;
  readonly collateral: Readonly<Record<string, Uint8Array>>;
}

export const fmspc = "00906ed50000";
const zeros = (bytes: number): string => "00".repeat(bytes);
export const qeSigner: Uint8Array = new Uint8Array(32).fill(0x51);
export const seamSigner: Uint8Array = new Uint8Array(48);
const best = Array.from({ length: 16 }, (_, i) => (i < 4 ? 5 : 0));

export async function syntheticIntel(
  crypto: Crypto,
  now: number,
  kind: "SGX" | "TDX",
  lies: DcapLies = {},
): Promise<SyntheticIntel> {
  const root = await makeCertificate(crypto, now, {
    name: "Intel SGX Root CA",
    ca: true,
    ...lies.root,
  });
  const pckCa = await makeCertificate(crypto, now, {
    name: "Intel SGX PCK Platform CA",
    issuer: root,
    ca: true,
    ...lies.pckCa,
  });
  const pck = await makeCertificate(crypto, now, {
    name: "Intel SGX PCK Certificate",
    issuer: pckCa,
    extensions: [[sgxExtension, pckExtension(lies)]],
    ...lies.pck,
  });
  const tcbSigner = await makeCertificate(crypto, now, {
    name: "Intel SGX TCB Signing",
    issuer: root,
    ...lies.tcbSigner,
  });
  const made = { root, pckCa, pck, tcbSigner };
  const window = {
    issueDate: new Date(now - 86_400_000).toISOString(),
    nextUpdate: new Date(now + 30 * 86_400_000).toISOString(),
    tcbEvaluationDataNumber: 17,
  };
  const tcbInfo = JSON.stringify({
    id: kind,
    version: 3,
    ...window,
    fmspc,
    pceId: "0000",
    tcbType: 0,
    ...(kind === "TDX" ? tdxModules : {}),
    tcbLevels: [
      level("UpToDate", 5, kind),
      level("SWHardeningNeeded", 4, kind),
      level("OutOfDate", 2, kind),
      level("Revoked", 1, kind),
    ],
    ...lies.tcbInfo,
  });
  const qeIdentity = JSON.stringify({
    id: kind === "SGX" ? "QE" : "TD_QE",
    version: 2,
    ...window,
    miscselect: zeros(4),
    miscselectMask: "ffffffff",
    attributes: `11${zeros(15)}`,
    attributesMask: `fbffffffffffffff${zeros(8)}`,
    mrsigner: toHex(qeSigner),
    isvprodid: 2,
    tcbLevels: [
      { tcb: { isvsvn: 8 }, tcbDate: "2025-01-01T00:00:00Z", tcbStatus: "UpToDate" },
      { tcb: { isvsvn: 4 }, tcbDate: "2024-01-01T00:00:00Z", tcbStatus: "OutOfDate" },
      { tcb: { isvsvn: 2 }, tcbDate: "2023-01-01T00:00:00Z", tcbStatus: "Revoked" },
    ],
    ...lies.qeIdentity,
  });
  const chain = pemOf(tcbSigner.der, root.der);
  const { afterSigning = (text) => text } = lies;
  const sign = async (text: string): Promise<string> =>
    toHex(await tcbSigner.signer.sign(utf8(text)));
  const document = {
    tcb_info_issuer_chain: chain,
    tcb_info: afterSigning(tcbInfo),
    tcb_info_signature: await sign(tcbInfo),
    qe_identity_issuer_chain: chain,
    qe_identity: afterSigning(qeIdentity),
    qe_identity_signature: await sign(qeIdentity),
    root_ca_crl: toHex(await makeCrl(now, root, lies.rootCrl?.(made))),
    pck_crl: toHex(await makeCrl(now, pckCa, lies.pckCrl?.(made))),
  };
  return { ...made, crypto, now, collateral: { dcap: utf8(JSON.stringify(document)) } };
}

const tdxModules = {
  tdxModule: { mrsigner: zeros(48), attributes: zeros(8), attributesMask: "ff".repeat(8) },
  tdxModuleIdentities: [
    {
      id: "TDX_01",
      mrsigner: zeros(48),
      attributes: zeros(8),
      attributesMask: "ff".repeat(8),
      tcbLevels: [
        { tcb: { isvsvn: 6 }, tcbDate: "2025-01-01T00:00:00Z", tcbStatus: "UpToDate" },
        {
          tcb: { isvsvn: 4 },
          tcbDate: "2024-01-01T00:00:00Z",
          tcbStatus: "OutOfDate",
          advisoryIDs: ["INTEL-SA-1"],
        },
      ],
    },
  ],
};

function level(tcbStatus: string, svn: number, kind: "SGX" | "TDX"): object {
  const components = best.map((each) => ({ svn: Math.min(each, svn) }));
  return {
    tcb: {
      sgxtcbcomponents: components,
      pcesvn: 10,
      ...(kind === "TDX" ? { tdxtcbcomponents: components } : {}),
    },
    tcbDate: "2025-01-01T00:00:00Z",
    tcbStatus,
    ...(tcbStatus === "UpToDate" ? {} : { advisoryIDs: [`INTEL-SA-0000${svn}`] }),
  };
}

function pckExtension({
  components = best,
  fmspc: own = fmspc,
  pceId = "0000",
}: DcapLies): Uint8Array {
  const field = (arc: string, value: Uint8Array): Uint8Array =>
    sequence(oid(`${sgxExtension}.${arc}`), value);
  const bytes = (hex: string): Uint8Array =>
    Uint8Array.from(hex.match(/../g) ?? [], (b) => Number.parseInt(b, 16));
  return sequence(
    field("1", octets(new Uint8Array(16))),
    field(
      "2",
      sequence(
        ...components.map((svn, i) => field(`2.${i + 1}`, integer(svn))),
        field("2.17", integer(11)),
        field("2.18", octets(Uint8Array.from(components))),
      ),
    ),
    field("3", octets(bytes(pceId))),
    field("4", octets(bytes(own))),
    field("5", enumerated(0)),
  );
}

export interface QuoteLies {
  readonly version?: 3 | 4 | 5;
  readonly debug?: boolean;
  readonly qeSvn?: number;
  readonly qeMrSigner?: Uint8Array;
  readonly qeProdId?: number;
  readonly qeAttributes?: number;
  readonly qeMiscSelect?: number;
  /** QE report data that does not name the attestation key. */
  readonly unboundKey?: boolean;
  readonly qeReportSigner?: Signer;
  readonly quoteSigner?: Signer;
  readonly teeTcbSvn?: readonly number[];
  readonly teeTcbSvn2?: readonly number[];
  readonly seamSigner?: Uint8Array;
  readonly seamAttributes?: number;
  readonly tdAttributes?: Uint8Array;
  readonly serviceTd?: boolean;
  readonly vendor?: Uint8Array;
  readonly chain?: string;
}

const u16 = (n: number): Uint8Array => Uint8Array.of(n & 0xff, n >> 8);
const u32 = (n: number): Uint8Array =>
  Uint8Array.of(n & 0xff, (n >> 8) & 0xff, (n >> 16) & 0xff, n >>> 24);
const filled = (bytes: number, value = 0): Uint8Array => new Uint8Array(bytes).fill(value);
const intelVendor = Uint8Array.from("939a7233f79c4ca9940a0db3957f0607".match(/../g) ?? [], (b) =>
  Number.parseInt(b, 16),
);

function enclave(fields: {
  readonly misc?: number;
  readonly attributes: number;
  readonly signer: Uint8Array;
  readonly prodId: number;
  readonly svn: number;
  readonly reportData: Uint8Array;
}): Uint8Array {
  return concat(
    filled(16, 1),
    u32(fields.misc ?? 0),
    filled(28),
    Uint8Array.of(fields.attributes, ...filled(15)),
    filled(32, 0xe1),
    filled(32),
    fields.signer,
    filled(96),
    u16(fields.prodId),
    u16(fields.svn),
    filled(60),
    fields.reportData,
  );
}

function td(reportData: Uint8Array, lies: QuoteLies): Uint8Array {
  const attributes =
    lies.tdAttributes ?? Uint8Array.of(lies.debug === true ? 1 : 0, 0, 0, 0x10, 0, 0, 0, 0);
  const fifteen = lies.version === 5;
  return concat(
    Uint8Array.from(lies.teeTcbSvn ?? [6, 1, 5, 5, ...filled(12)]),
    filled(48, 0x5e),
    lies.seamSigner ?? seamSigner,
    Uint8Array.of(lies.seamAttributes ?? 0, ...filled(7)),
    attributes,
    filled(8, 0xe7),
    filled(48, 0xd1),
    filled(48, 0xd2),
    filled(48, 0xd3),
    filled(48, 0xd4),
    filled(48, 0xa0),
    filled(48, 0xa1),
    filled(48, 0xa2),
    filled(48, 0xa3),
    reportData,
    ...(fifteen
      ? [
          Uint8Array.from(lies.teeTcbSvn2 ?? [6, 1, 5, 5, ...filled(12)]),
          filled(48, lies.serviceTd === true ? 7 : 0),
        ]
      : []),
  );
}

export async function makeQuote(
  intel: SyntheticIntel,
  kind: "SGX" | "TDX",
  reportData: Uint8Array,
  lies: QuoteLies = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const { crypto } = intel;
  const version = lies.version ?? (kind === "SGX" ? 3 : 4);
  const key = await crypto.generateSigner("ES256");
  const point = key.publicKey.subarray(27);
  const header = concat(
    u16(version),
    u16(2),
    u32(kind === "SGX" ? 0 : 0x81),
    u16(8),
    u16(11),
    lies.vendor ?? intelVendor,
    filled(20),
  );
  const body =
    kind === "SGX"
      ? enclave({
          attributes: lies.debug === true ? 7 : 5,
          signer: filled(32, 0x99),
          prodId: 1,
          svn: 3,
          reportData,
        })
      : td(reportData, { ...lies, version });
  const descriptor =
    version === 5 ? concat(u16(kind === "SGX" ? 1 : 3), u32(body.length)) : new Uint8Array(0);
  const signed = concat(header, descriptor, body);
  const authData = filled(32, 0x20);
  const digest = await crypto.digest("SHA-256", concat(point, authData));
  const qeReport = enclave({
    misc: lies.qeMiscSelect ?? 0,
    attributes: lies.qeAttributes ?? 0x15,
    signer: lies.qeMrSigner ?? qeSigner,
    prodId: lies.qeProdId ?? 2,
    svn: lies.qeSvn ?? 8,
    reportData: concat(lies.unboundKey === true ? filled(32) : digest, filled(32)),
  });
  const chain = utf8(lies.chain ?? pemOf(intel.pck.der, intel.pckCa.der, intel.root.der));
  const inner = concat(
    qeReport,
    await (lies.qeReportSigner ?? intel.pck.signer).sign(qeReport),
    u16(authData.length),
    authData,
    u16(5),
    u32(chain.length),
    chain,
  );
  const signature = await (lies.quoteSigner ?? key).sign(signed);
  const auth = concat(
    signature,
    point,
    ...(version >= 4 ? [u16(6), u32(inner.length)] : []),
    inner,
  );
  return concat(signed, u32(auth.length), auth);
}

export function dcapAttester(
  intel: SyntheticIntel,
  kind: "SGX" | "TDX",
  lies: QuoteLies,
): Attester {
  const type = kind === "SGX" ? "sgx" : "tdx";
  return {
    type,
    collect: async (binding) => ({
      type,
      bytes: await makeQuote(intel, kind, await reportDataFor(intel.crypto, type, binding), lies),
      attachments: {},
    }),
  };
}
