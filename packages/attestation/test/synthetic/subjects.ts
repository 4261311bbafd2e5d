/** Every hardware verifier as a subject of the contract, on evidence of a synthetic PKI. Runs in browsers too. */
import type { Crypto } from "@vivarium/core";
import { sgxVerifier } from "../../src/sgx/index.ts";
import { tdxVerifier } from "../../src/tdx/index.ts";
import { now, statementFor } from "../simulated-subject.ts";
import type { ContractSubject } from "../verifier-contract.ts";
import { dcapAttester, type QuoteLies, syntheticIntel } from "./dcap.ts";

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

export const hardwareSubjects: readonly {
  readonly name: string;
  readonly make: (crypto: Crypto) => Promise<ContractSubject>;
}[] = [
  { name: "SGX quote 3", make: (crypto) => dcapSubject(crypto, "SGX", { version: 3 }) },
  { name: "SGX quote 4", make: (crypto) => dcapSubject(crypto, "SGX", { version: 4 }) },
  { name: "TDX quote 4", make: (crypto) => dcapSubject(crypto, "TDX", { version: 4 }) },
  { name: "TDX quote 5", make: (crypto) => dcapSubject(crypto, "TDX", { version: 5 }) },
];
