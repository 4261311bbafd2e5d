/**
 * Azure confidential vTPMs: the TEE's report binds the vTPM's attestation key, and the vTPM's quote binds
 * the session. Both verify as one piece of evidence, or not at all.
 */
import { type Crypto, equalBytes, toHex } from "@vivarium/core";
import { bytesOf, type CborValue, decodeCbor, encodeCbor, fieldsOf } from "../cbor.ts";
import { AttestationError } from "../errors.ts";
import type { Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { type Examination, examine } from "../examination.ts";
import { snpReportBytes } from "../snp/report.ts";
import { decodeTpmEvidence, type TpmEvidence } from "../tpm/container.ts";
import { requireTpmLog } from "../tpm/event-log.ts";
import { pcrMeasurements, requireQuote } from "../tpm/quote.ts";
import { parseTpmQuote, type TpmQuote } from "../tpm/structures.ts";
import { claimsOf as tpmClaims } from "../tpm/verifier.ts";
import { parseRuntimeData, type RuntimeClaims } from "./hcl.ts";

export interface AzureVtpmOptions {
  /** Verifier of the TEE below: SNP, or TDX (whose quote is the attachment `quote`). */
  readonly tee: Verifier;
}

const source = "Azure confidential VM guest attestation";
const limits = { maxBytes: 32 * 1024, maxDepth: 1, maxValues: 8 };

/** What is left of Azure's evidence when all that no signature covers is taken away. */
export interface VtpmParts {
  /** As of `encodeTpmEvidence`. */
  readonly tpm: Uint8Array;
  /** The SNP report; empty on TDX, where the quote is an attachment. */
  readonly report: Uint8Array;
  /** The exact bytes of the HCL report's runtime data. */
  readonly runtime: Uint8Array;
}

export function encodeVtpmEvidence(parts: VtpmParts): Uint8Array<ArrayBuffer> {
  const { tpm, report, runtime } = parts;
  return encodeCbor(new Map<string, CborValue>(Object.entries({ tpm, report, runtime })));
}

/**
 * Runs in Node and browsers. Entry `certificates` (SNP) or `dcap` (TDX) as of the TEE's verifier.
 * PCRs and the TEE's measurements can both be pinned.
 */
export function azureVtpmVerifier({ tee }: AzureVtpmOptions): Verifier {
  const type = tee.type === "snp" ? "az-snp-vtpm" : "az-tdx-vtpm";
  return {
    type,
    pins: tee.pins.map((names) => [...names, "pcr04"]),
    needsRoot: tee.needsRoot,
    read: (evidence) => {
      const { tpm, report } = partsOf(evidence, type);
      const { message, pcrs } = tpm;
      return {
        [type]: { tpm: tpmClaims(parseTpmQuote(message), { pcrs }) },
        ...tee.read(teeEvidence(evidence, report, tee.type)),
      };
    },
    verify: (evidence, context) => verify(evidence, context, type, tee),
  };
}

interface Parts {
  readonly tpm: TpmEvidence;
  readonly report: Uint8Array;
  readonly runtime: Uint8Array;
  readonly claims: RuntimeClaims;
}

function partsOf(evidence: Evidence, type: Evidence["type"]): Parts {
  if (evidence.type !== type) {
    throw new AttestationError("unknown-type", `This verifier reads ${type} evidence only.`);
  }
  const name = type === "az-snp-vtpm" ? "certificates" : "quote";
  if (Object.keys(evidence.attachments).some((given) => given !== name && given !== "eventlog")) {
    const message = `${type} evidence has no attachments but ${name} and an event log.`;
    throw new AttestationError("malformed", message);
  }
  const what = "vTPM evidence";
  const document = decodeCbor(what, evidence.bytes, limits);
  const fields = fieldsOf(what, document, ["tpm", "report", "runtime"]);
  const size = type === "az-snp-vtpm" ? snpReportBytes : 0;
  const runtime = bytesOf("Runtime data", fields.runtime, 1, limits.maxBytes);
  return {
    tpm: decodeTpmEvidence(bytesOf("TPM evidence", fields.tpm, 1, limits.maxBytes)),
    report: bytesOf("Hardware report", fields.report, size, size),
    runtime,
    claims: parseRuntimeData(runtime),
  };
}

/** The TEE's evidence inside, for those who look for its collateral. @throws AttestationError `malformed`. */
export function vtpmHardware(evidence: Evidence): Evidence {
  const { report } = partsOf(evidence, evidence.type);
  const snp = evidence.type === "az-snp-vtpm";
  return teeEvidence(evidence, report, snp ? "snp" : "tdx");
}

/** What the TEE signed: the report inside the HCL's, or the quote that was made of it. */
function teeEvidence(
  { attachments }: Evidence,
  report: Uint8Array,
  tee: Verifier["type"],
): Evidence {
  if (tee === "snp") {
    const certificates = attachments["certificates"];
    const own = certificates === undefined ? {} : { certificates };
    return { type: "snp", bytes: report, attachments: own };
  }
  const quote = attachments["quote"];
  if (quote === undefined) {
    throw new AttestationError("malformed", "A vTPM on TDX needs the TD quote beside it.");
  }
  return { type: "tdx", bytes: quote, attachments: {} };
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  type: Evidence["type"],
  tee: Verifier,
): Promise<VerifiedEvidence> {
  const { tpm, report, runtime, claims } = partsOf(evidence, type);
  const exam = examine("Azure vTPM evidence");
  const hardware = await tee.verify(teeEvidence(evidence, report, tee.type), context);
  if (hardware.type !== tee.type) throw new AttestationError("not-genuine", "Another type.");
  await requireRuntime(exam, context.crypto, runtime, hardware);
  // The key comes from under the hardware's signature; what the vTPM says of itself must be the same.
  const same = equalBytes(claims.ak, tpm.ak);
  exam.require("vtpm.ak", same, "the key in the runtime data", same ? "it is" : "another", source);
  const quote = await requireQuote(exam, context.crypto, tpm);
  checkFreshness(exam, claims, quote);
  const log = evidence.attachments["eventlog"];
  const explained =
    log === undefined
      ? {}
      : { eventlog: await requireTpmLog(exam, context.crypto, log, quote, tpm.pcrs) };
  return {
    ...hardware,
    type,
    claims: { ...hardware.claims, [type]: { tpm: { ...tpmClaims(quote, tpm), ...explained } } },
    measurements: { ...hardware.measurements, ...pcrMeasurements(tpm.pcrs) },
    relaxations: [...hardware.relaxations, ...exam.relaxations],
    attributes: { ...hardware.attributes, clock_safe: quote.safe },
    reportData: quote.extraData,
    findings: [...hardware.findings, ...exam.findings],
  };
}

/** The hardware vouches for the runtime data, and so for the key in it. */
async function requireRuntime(
  exam: Examination,
  crypto: Crypto,
  runtime: Uint8Array,
  { reportData }: VerifiedEvidence,
): Promise<void> {
  const expected = new Uint8Array(64);
  expected.set(await crypto.digest("SHA-256", runtime));
  const same = equalBytes(expected, reportData);
  exam.require("vtpm.runtime-data", same, toHex(expected), toHex(reportData), source);
}

/** The vTPM's quote is fresh; the hardware's report is from the boot unless it carries the same data. */
function checkFreshness(
  exam: Examination,
  { userData }: RuntimeClaims,
  { extraData }: TpmQuote,
): void {
  // A short part may happen to be the same, one byte in 256 boots: at least a nonce of 128 bits, and no tail.
  const whole = new Uint8Array(userData?.length ?? 0);
  const fits = extraData.length >= 16 && extraData.length <= whole.length;
  if (fits) whole.set(extraData);
  const bound = fits && equalBytes(userData as Uint8Array, whole);
  if (!bound) {
    exam.relax(
      "vtpm.stale-hardware-report",
      "a hardware report made for this session",
      "one from before: only the vTPM's quote is fresh",
      source,
    );
  }
}
