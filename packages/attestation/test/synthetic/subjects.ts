/** Every hardware verifier as a subject of the contract, on evidence of a synthetic PKI. Runs in browsers too. */
import type { Crypto } from "@vivarium/core";
import { ccaVerifier } from "../../src/cca/index.ts";
import { csvVerifier } from "../../src/csv/index.ts";
import { nitroVerifier } from "../../src/nitro/index.ts";
import { sevAttester, sevPolicy, sevVerifier, signSevLaunch } from "../../src/sev/index.ts";
import { sgxVerifier } from "../../src/sgx/index.ts";
import { snpVerifier } from "../../src/snp/index.ts";
import { tdxVerifier } from "../../src/tdx/index.ts";
import { tpmVerifier } from "../../src/tpm/index.ts";
import { now, statementFor } from "../simulated-subject.ts";
import type { ContractSubject } from "../verifier-contract.ts";
import { ccaAttester, syntheticArm } from "./cca.ts";
import { csvAttester, syntheticHygon } from "./csv.ts";
import { dcapAttester, type QuoteLies, syntheticIntel } from "./dcap.ts";
import { nitroAttester, syntheticAws } from "./nitro.ts";
import { type SnpLies, snpAttester, syntheticAmd } from "./snp.ts";
import { syntheticTpm, tpmAttester } from "./tpm.ts";

const binding = Uint8Array.from({ length: 64 }, (_, i) => i * 3 + 1);

async function common(
  crypto: Crypto,
): Promise<Pick<ContractSubject, "crypto" | "now" | "statement" | "binding">> {
  const worker = await crypto.generateSigner("ES256");
  return { crypto, now, statement: statementFor(worker), binding };
}

async function dcapSubject(
  crypto: Crypto,
  kind: "SGX" | "TDX",
  lies: QuoteLies,
): Promise<ContractSubject> {
  const intel = await syntheticIntel(crypto, now, kind);
  const options = { anchors: [intel.root.der] };
  return {
    ...(await common(crypto)),
    verifier: kind === "SGX" ? sgxVerifier(options) : tdxVerifier(options),
    collateral: intel.collateral,
    // Certificates are most of a quote, and white space in PEM is free: see the tests on real quotes.
    flipStep: 5,
    attester: async ({ debug } = { debug: false }) => dcapAttester(intel, kind, { ...lies, debug }),
  };
}

async function snpSubject(crypto: Crypto, lies: SnpLies): Promise<ContractSubject> {
  const amd = await syntheticAmd(crypto, now, lies);
  return {
    ...(await common(crypto)),
    verifier: snpVerifier({ anchors: [amd.ark.der] }),
    collateral: amd.collateral,
    attester: async ({ debug } = { debug: false }) => snpAttester(amd, debug),
  };
}

async function ccaSubject(crypto: Crypto, algorithm: "ES256" | "ES384"): Promise<ContractSubject> {
  const arm = await syntheticArm(crypto, algorithm);
  return {
    ...(await common(crypto)),
    verifier: ccaVerifier(),
    collateral: arm.collateral,
    attester: async ({ debug } = { debug: false }) => ccaAttester(arm, debug),
  };
}

async function nitroSubject(crypto: Crypto): Promise<ContractSubject> {
  const aws = await syntheticAws(crypto, now);
  return {
    ...(await common(crypto)),
    verifier: nitroVerifier({ anchors: [aws.root.der] }),
    collateral: {},
    attester: async ({ debug } = { debug: false }) => nitroAttester(aws, debug),
  };
}

async function csvSubject(crypto: Crypto, version: 1 | 2): Promise<ContractSubject> {
  const hygon = syntheticHygon(crypto);
  return {
    ...(await common(crypto)),
    verifier: csvVerifier({ anchors: [hygon.hrk] }),
    collateral: hygon.collateral,
    // Five SM2 signatures a time, in JavaScript.
    flipStep: 13,
    attester: async ({ debug } = { debug: false }) => csvAttester(hygon, version, debug),
  };
}

async function sevSubject(crypto: Crypto, type: "sev" | "sev-es"): Promise<ContractSubject> {
  const owner = await crypto.generateSigner("ES384");
  const key = await crypto.generateSigner("ES256");
  const strict = sevPolicy.noDebug | sevPolicy.noKeySharing | sevPolicy.noSend;
  const kind = type === "sev-es" ? sevPolicy.es : 0;
  return {
    ...(await common(crypto)),
    verifier: sevVerifier(type),
    collateral: {},
    attester: async ({ debug } = { debug: false }) => {
      const launch = await signSevLaunch(owner, {
        ...{ apiMajor: 1, apiMinor: 55, build: 21, key: key.publicKey },
        policy: (strict | kind) & ~(debug ? sevPolicy.noDebug : 0),
        measurement: new Uint8Array(32).fill(3),
        platformRoot: new Uint8Array(32).fill(4),
        platformOwner: new Uint8Array(32).fill(5),
        ...{ notBefore: now, notAfter: now + 3_600_000 },
      });
      return sevAttester(crypto, key, launch);
    },
  };
}

async function tpmSubject(crypto: Crypto): Promise<ContractSubject> {
  const tpm = await syntheticTpm(crypto);
  return {
    ...(await common(crypto)),
    verifier: tpmVerifier(),
    collateral: tpm.collateral,
    noDebug: true,
    attester: async () => tpmAttester(tpm),
  };
}

export const hardwareSubjects: readonly {
  readonly name: string;
  readonly make: (crypto: Crypto) => Promise<ContractSubject>;
}[] = [
  { name: "SGX quote 3", make: (crypto) => dcapSubject(crypto, "SGX", { version: 3 }) },
  { name: "SGX quote 4", make: (crypto) => dcapSubject(crypto, "SGX", { version: 4 }) },
  { name: "TDX quote 4", make: (crypto) => dcapSubject(crypto, "TDX", { version: 4 }) },
  { name: "TDX quote 5", make: (crypto) => dcapSubject(crypto, "TDX", { version: 5 }) },
  { name: "SNP report 3 of Milan", make: (crypto) => snpSubject(crypto, {}) },
  {
    name: "SNP report 5 of Turin",
    make: (crypto) => snpSubject(crypto, { product: "Turin", version: 5 }),
  },
  { name: "SNP report of a VLEK", make: (crypto) => snpSubject(crypto, { vlek: true }) },
  { name: "CCA token", make: (crypto) => ccaSubject(crypto, "ES384") },
  { name: "CCA token with ES256", make: (crypto) => ccaSubject(crypto, "ES256") },
  { name: "Nitro document", make: nitroSubject },
  { name: "CSV report 1", make: (crypto) => csvSubject(crypto, 1) },
  { name: "CSV report 2", make: (crypto) => csvSubject(crypto, 2) },
  { name: "SEV launch", make: (crypto) => sevSubject(crypto, "sev") },
  { name: "SEV-ES launch", make: (crypto) => sevSubject(crypto, "sev-es") },
  { name: "TPM quote", make: tpmSubject },
];
