/** Intel SGX evidence: a DCAP quote over an enclave report. */
import { toHex } from "@vivarium/core";
import { headerClaims, platformAttributes, tcbClaims, tcbNumbers } from "../dcap/claims.ts";
import { parseQuote, type SgxQuote } from "../dcap/quote.ts";
import { intelAnchors, verifyQuote } from "../dcap/verify.ts";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";

export interface SgxVerifierOptions {
  /** DER of roots to trust instead of Intel's, for test PKIs. A policy must then name the root. */
  readonly anchors?: readonly Uint8Array[];
}

/** Bit 1 of the attribute flags; the rest is in Intel SDM volume 3D, table 35-3. */
const flags = { debug: 1, mode64: 2, provisionKey: 4, tokenKey: 5, kss: 7 } as const;

/** Runs in Node and browsers. Collateral: entry `dcap`, the JSON of a QuoteCollateralV3. */
export function sgxVerifier(options: SgxVerifierOptions = {}): Verifier {
  const anchors = options.anchors ?? intelAnchors();
  return {
    type: "sgx",
    pins: [["mr_enclave"], ["mr_signer"]],
    needsRoot: options.anchors !== undefined,
    read: (evidence) => ({ sgx: claimsOf(sgxQuoteOf(evidence)) }),
    verify: (evidence, context) => verify(evidence, context, anchors),
  };
}

function sgxQuoteOf(evidence: Evidence): SgxQuote {
  if (evidence.type !== "sgx") {
    throw new AttestationError("unknown-type", "This verifier reads SGX evidence only.");
  }
  if (Object.keys(evidence.attachments).length > 0) {
    throw new AttestationError("malformed", "SGX evidence has no attachments.");
  }
  const quote = parseQuote(evidence.bytes);
  if (quote.kind !== "sgx") throw new AttestationError("malformed", "The quote is not of SGX.");
  return quote;
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  anchors: readonly Uint8Array[],
): Promise<VerifiedEvidence> {
  const quote = sgxQuoteOf(evidence);
  const verified = await verifyQuote(quote, { ...context, anchors });
  const { body } = quote;
  const { exam, status, level } = verified;
  if (bit(body.attributes, flags.provisionKey)) {
    exam.relax(
      "sgx.provision-key",
      "no access to provisioning keys",
      "granted",
      "Intel SDM 3D 35.7",
    );
  }
  return {
    type: "sgx",
    claims: { sgx: { ...claimsOf(quote), ...tcbClaims(verified) } },
    measurements: {
      mr_enclave: body.mrEnclave,
      mr_signer: body.mrSigner,
      config_id: body.configId,
    },
    svn: {
      isv_svn: body.isvSvn,
      isv_prod_id: body.isvProdId,
      config_svn: body.configSvn,
      ...tcbNumbers(verified),
    },
    tcb: { status, advisories: level.advisoryIDs ?? [] },
    relaxations: exam.relaxations,
    attributes: {
      ...platformAttributes(verified),
      mode64: bit(body.attributes, flags.mode64),
      kss: bit(body.attributes, flags.kss),
    },
    debug: bit(body.attributes, flags.debug),
    reportData: body.reportData,
    issuedAt: undefined,
    notAfter: verified.notAfter,
    isolation: "tee",
    binding: "session",
    root: verified.root,
    findings: exam.findings,
  };
}

function bit(bytes: Uint8Array, index: number): boolean {
  return (((bytes[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

function claimsOf(quote: SgxQuote): Readonly<Record<string, Claim>> {
  const { body } = quote;
  return {
    header: headerClaims(quote),
    body: {
      cpu_svn: toHex(body.cpuSvn),
      misc_select: toHex(body.miscSelect),
      isv_ext_prod_id: toHex(body.isvExtProdId),
      attributes: {
        flags: toHex(body.attributes.subarray(0, 8)),
        xfrm: toHex(body.attributes.subarray(8)),
      },
      debug: bit(body.attributes, flags.debug),
      mr_enclave: toHex(body.mrEnclave),
      mr_signer: toHex(body.mrSigner),
      config_id: toHex(body.configId),
      isv_prod_id: body.isvProdId,
      isv_svn: body.isvSvn,
      config_svn: body.configSvn,
      isv_family_id: toHex(body.isvFamilyId),
    },
    report_data: toHex(body.reportData),
  };
}
