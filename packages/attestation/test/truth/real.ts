/** Real evidence of every TEE with the verdict that its index gives, each at a time when it holds. */
import { readFileSync } from "node:fs";
import type { Crypto } from "@vivarium/core";
import { ccaVerifier } from "../../src/cca/index.ts";
import { csvVerifier } from "../../src/csv/index.ts";
import {
  mergeCollateral,
  type Recognised,
  readCollateralForm,
  readEvidenceForm,
} from "../../src/forms/index.ts";
import { type Assessment, assessEvidence, decodePem, type Verifier } from "../../src/index.ts";
import { nitroVerifier } from "../../src/nitro/index.ts";
import { raTlsVerifiers } from "../../src/ra-tls/index.ts";
import { sgxVerifier } from "../../src/sgx/index.ts";
import { snpVerifier } from "../../src/snp/index.ts";
import { tdxVerifier } from "../../src/tdx/index.ts";
import { decodeTpmEvidence, tpmVerifier } from "../../src/tpm/index.ts";
import { azureVtpmVerifier } from "../../src/vtpm/index.ts";
import { vectorsPath } from "../vectors.ts";

export interface RealCase {
  readonly evidence: string;
  readonly collateral: readonly string[];
  readonly at: string;
  /** Empty: accepted. Else the last rule, which failed. */
  readonly refused?: string;
  readonly debug?: true;
  readonly warnings?: readonly string[];
  /** The caller names the attestation key that the evidence holds: nothing else vouches for it. */
  readonly trustOwnKey?: true;
  /** PEM of a root instead of the vendor's: sample sets that are signed by a test root. */
  readonly root?: string;
}

const snp = (
  report: string,
  certificate: string,
  at: string,
  more: Partial<RealCase> = {},
): RealCase => ({
  evidence: `snp/${report}`,
  collateral: [`snp/${certificate}`],
  at,
  warnings: ["snp.crl-absent"],
  ...more,
});

const cca = (token: string, anchor: string, refused?: string): RealCase => ({
  evidence: `cca/${token}`,
  collateral: [`cca/${anchor}`],
  at: "2026-06-01",
  ...(refused === undefined ? {} : { refused }),
});

export const realCases: readonly RealCase[] = [
  snp("ars_genoa_v5_live_report.bin", "ars_genoa_v5_live_vcek.der", "2026-06-20"),
  {
    evidence: "snp/ars_genoa_live_evidence.json",
    collateral: [],
    at: "2026-06-20",
    warnings: ["snp.crl-absent"],
  },
  {
    evidence: "snp/trustee_e2e_evidence_genoa_v3.json",
    collateral: [],
    at: "2026-06-20",
    warnings: ["snp.crl-absent"],
  },
  {
    evidence: "snp/dstack_sev-snp-attestation.json",
    collateral: [],
    at: "2026-06-20",
    warnings: ["snp.crl-absent", "snp.provisional-firmware"],
  },
  snp("azure_genoa_v3_report.bin", "azure_genoa_vcek.pem", "2026-06-20"),
  snp("dstack_milan_v3_report.bin", "dstack_milan_ask_vcek.pem", "2026-06-20", {
    warnings: ["snp.crl-absent", "snp.provisional-firmware"],
  }),
  snp("go-sev-guest_milan_v2_debug_attestation.bin", "go-sev-guest_milan_vcek.der", "2025-06-20", {
    refused: "debug",
    debug: true,
  }),
  snp("gparfait_milan_v2_report.bin", "gparfait_milan_v2_vcek.der", "2025-12-20"),
  snp("ms_genoa_report.bin", "ms_genoa_vcek.pem", "2026-06-20"),
  snp("ms_milan_report.bin", "ms_milan_vcek.pem", "2026-06-20"),
  snp("oak_cb_milan_v3_report.bin", "oak_cb_milan_v3_vcek.der", "2026-06-20"),
  snp("oak_milan_v3_report.bin", "oak_milan_v3_vcek.der", "2026-06-20"),
  snp("oak_turin_v5_report.bin", "oak_turin_v5_vcek.der", "2026-06-20"),
  snp("trustee_milan_v2_report.bin", "trustee_milan_vcek.der", "2025-06-20", {
    warnings: ["snp.crl-absent", "snp.provisional-firmware"],
  }),
  snp("trustee_milan_v3_vlek_report.bin", "trustee_milan_vlek.der", "2025-06-01", {
    warnings: ["snp.crl-absent", "snp.vmpl", "snp.provisional-firmware"],
  }),
  snp("trustee_milan_v3_vlek_report.bin", "trustee_milan_vlek.der", "2025-12-11", {
    refused: "snp.chain.dates",
    warnings: [],
  }),
  snp("trustee_milan_v2_report.bin", "trustee_vcek-invalid-legacy.der", "2025-06-20", {
    refused: "snp.chain.signature",
    warnings: [],
  }),
  snp("trustee_milan_v2_report.bin", "trustee_vcek-invalid-new.der", "2025-06-20", {
    refused: "snp.chain.signature",
    warnings: [],
  }),
  // Another chip's genuine certificate.
  snp("oak_milan_v3_report.bin", "ms_milan_vcek.pem", "2026-06-20", {
    refused: "snp.chip-id",
    warnings: [],
  }),
  snp("oak_turin_v5_report.bin", "virtee_turin_vcek.der", "2026-06-20", {
    refused: "snp.tcb",
    warnings: [],
  }),
  {
    evidence: "csv/csv-rs_report.cert",
    collateral: ["csv/csv-rs_hsk_cek.cert"],
    at: "2026-06-01",
    warnings: ["csv.registers-in-clear", "csv.key-sharing", "csv.migratable"],
  },
  {
    evidence: "csv/csv-rs_report.cert",
    collateral: ["csv/csv-rs_cek.cert", "csv/csv-rs_hsk.cert"],
    at: "2026-06-01",
    warnings: ["csv.registers-in-clear", "csv.key-sharing", "csv.migratable"],
  },
  {
    evidence: "csv/trustee_csv_evidence.json",
    collateral: [],
    at: "2026-06-01",
    refused: "csv.certificates",
  },
  {
    evidence: "csv/trustee_csv_report_4096.bin",
    collateral: ["csv/csv-rs_hsk_cek.cert"],
    at: "2026-06-01",
    refused: "csv.pek",
  },
  cca("rust-ccatoken/cca-token-01.cbor", "rust-ccatoken/ta-tfa.json"),
  cca("rust-ccatoken/cca-token-01.cbor", "rust-ccatoken/cpak.json"),
  cca("rust-ccatoken/bug-33-repro.cbor", "rust-ccatoken/ta-tfa.json", "cca.binding"),
  cca("rust-ccatoken/cca-token-02.cbor", "rust-ccatoken/ta-02-ok.json"),
  cca("rust-ccatoken/cca-token-02.cbor", "rust-ccatoken/ta-02-bad.json", "cca.platform-signature"),
  cca("rust-ccatoken/cca-token-draft-ffm-00.cbor", "rust-ccatoken/ta-tfa.json"),
  cca("tf-rmm/cca_token.cbor", "tf-rmm/cca_platform.pub"),
  cca("trustee/cca-example-token.cbor", "trustee/tastore.json"),
  cca("trustee/cca-example-token.cbor", "rust-ccatoken/ta-02-ok.json", "cca.trust-anchor"),
  cca("veraison-services/cca-evidence.cbor", "veraison-services/ec256.json"),
  cca(
    "veraison-services/cca-evidence.cbor",
    "veraison-services/ec384.json",
    "cca.platform-signature",
  ),
  { evidence: "nitro/dstack_nitro_attestation.bin", collateral: [], at: "2025-12-25T16:10:00Z" },
  {
    evidence: "nitro/dstack_nitro_attestation.bin",
    collateral: [],
    at: "2025-12-25T19:05:00Z",
    refused: "nitro.chain.dates",
  },
  {
    evidence: "nitro/dstack_nitro_attestation_dbg.bin",
    collateral: [],
    at: "2025-12-25T08:30:00Z",
    refused: "debug",
    debug: true,
  },
  {
    evidence: "nitro/evervault_valid_doc.b64",
    collateral: [],
    at: "2023-09-18T15:00:00Z",
    refused: "debug",
    debug: true,
  },
  ...[
    "evidence-v0",
    "evidence-v1",
    "evidence-genoa",
    "ars_live-evidence",
    "ars_milan-v3-attestation",
  ].map(
    (name): RealCase => ({
      evidence: `vtpm/az-snp/${name}.json`,
      collateral: [],
      at: "2026-06-01",
      warnings: ["snp.crl-absent", "vtpm.stale-hardware-report"],
    }),
  ),
  {
    evidence: "vtpm/az-snp/evidence-v2.json",
    collateral: [],
    at: "2026-06-01",
    warnings: ["snp.crl-absent"],
  },
  ...["evidence-v0", "evidence-v1"].map(
    (name): RealCase => ({
      evidence: `vtpm/az-tdx/${name}.json`,
      collateral: ["dcap_cases/vtpm_az-tdx_td-quote-v0__OutOfDate__2025-06-26.json"],
      at: "2025-06-26T21:50:26Z",
      refused: "tcb",
      warnings: ["tdx.sept-ve-disable-off", "vtpm.stale-hardware-report"],
    }),
  ),
  {
    evidence: "vtpm/az-tdx/ars_live-evidence.json",
    collateral: ["dcap_cases/vtpm_az-tdx_td-quote-ars-live__UpToDate__2026-03-18.json"],
    at: "2026-03-18T16:38:10Z",
    warnings: [],
  },
  {
    evidence: "tpm/trustee_tpm_evidence.json",
    collateral: [],
    at: "2026-01-01",
    trustOwnKey: true,
    warnings: ["tpm.ak-attributes-unknown"],
  },
  {
    evidence: "tpm/trustee_tpm_evidence.json",
    collateral: [],
    at: "2026-01-01",
    refused: "tpm.ak",
  },
  ...["gce-cos-85-nonce9009", "gce-cos-85-no-nonce"].map(
    (name): RealCase => ({
      evidence: `tpm/go-tpm-tools/${name}.json`,
      collateral: [],
      at: "2022-01-01",
      trustOwnKey: true,
      warnings: ["tpm.ak-attributes-unknown"],
    }),
  ),
  // RA-TLS: the quotes are of debug enclaves on a platform whose collateral is not here.
  {
    evidence: "ratls/ccc-gramine-cert.pem",
    collateral: [],
    at: "2024-01-01",
    refused: "dcap.collateral",
  },
  {
    evidence: "ratls/ccc-rats-tls-cert.pem",
    collateral: [],
    at: "2026-01-01",
    refused: "ra-tls.dates",
  },
  {
    evidence: "ratls/rats-rs-demo-sgx-cert.pem",
    collateral: [],
    at: "2026-01-01",
    refused: "ra-tls.dates",
  },
  {
    evidence: "ratls/rats-tls-legacy-cert-openssl-sample.pem",
    collateral: [],
    at: "2024-01-01",
    refused: "dcap.collateral",
  },
];

/** A `dcap_cases` file: quote, collateral, time and what Intel's algorithm says. */
export interface DcapCase {
  readonly quote: string;
  readonly verify_at: string;
  readonly expected: {
    readonly status: string;
    readonly level?: string;
    readonly tcbDate?: string;
    readonly mod?: string | null;
    readonly qe?: string;
    readonly dbg?: boolean;
    readonly eval?: number;
    readonly adv?: readonly string[];
  };
}

export const readVector = (path: string): Uint8Array =>
  new Uint8Array(readFileSync(vectorsPath(...path.split("/"))));

export function verifiers(anchors?: readonly Uint8Array[]): readonly Verifier[] {
  const options = anchors === undefined ? {} : { anchors };
  return [
    sgxVerifier(options),
    tdxVerifier(options),
    snpVerifier(options),
    csvVerifier(options),
    nitroVerifier(options),
    ccaVerifier(),
    tpmVerifier(),
    azureVtpmVerifier({ tee: snpVerifier(options) }),
    azureVtpmVerifier({ tee: tdxVerifier(options) }),
  ];
}

/** @param change of the evidence's bytes, after its form was read. */
export async function assessReal(
  crypto: Crypto,
  { evidence, collateral, at, root, trustOwnKey }: RealCase,
  change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<Assessment> {
  const read: Recognised = readEvidenceForm(readVector(evidence));
  const given = mergeCollateral(collateral.map((path) => readCollateralForm(readVector(path))));
  const anchors = root === undefined ? undefined : decodePem("Root", readVector(root));
  const plain = verifiers(anchors);
  return await assessEvidence(
    { ...read.evidence, bytes: change(read.evidence.bytes) },
    {
      verifiers:
        read.certificate === undefined ? plain : raTlsVerifiers(read.certificate, plain, true),
      crypto,
      now: Date.parse(at),
      collateral: { ...read.collateral, ...given, ...(trustOwnKey === true ? ownKey(read) : {}) },
    },
  );
}

function ownKey({ evidence }: Recognised): Readonly<Record<string, Uint8Array>> {
  return { ak: decodeTpmEvidence(evidence.bytes).ak };
}
