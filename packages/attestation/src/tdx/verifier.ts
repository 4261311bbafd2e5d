/** Intel TDX evidence: a DCAP quote over a TD report, with the event log that explains its RTMRs. */
import { toHex } from "@vivarium/core";
import { headerClaims, platformAttributes, tcbClaims, tcbNumbers } from "../dcap/claims.ts";
import { parseQuote, type TdxQuote } from "../dcap/quote.ts";
import { intelAnchors, type VerifiedQuote, verifyQuote } from "../dcap/verify.ts";
import { AttestationError } from "../errors.ts";
import type { Claim, Evidence, VerifiedEvidence, Verifier, VerifyContext } from "../evidence.ts";
import { requireEventLog } from "./event-log.ts";

export interface TdxVerifierOptions {
  /** DER of roots to trust instead of Intel's, for test PKIs. A policy must then name the root. */
  readonly anchors?: readonly Uint8Array[];
}

/** TDATTRIBUTES (Intel TDX Module ABI, TD attributes): bits 0 to 7 are for TDs under debug. */
const bits = { debug: 0, septVeDisable: 28, migratable: 29, pks: 30, kl: 31, perfmon: 63 } as const;

/** Runs in Node and browsers. Collateral: entry `dcap`. Attachment: `eventlog`, optional. */
export function tdxVerifier(options: TdxVerifierOptions = {}): Verifier {
  const anchors = options.anchors ?? intelAnchors();
  return {
    type: "tdx",
    pins: [["mr_td"]],
    needsRoot: options.anchors !== undefined,
    read: (evidence) => ({ tdx: claimsOf(tdxQuoteOf(evidence)) }),
    verify: (evidence, context) => verify(evidence, context, anchors),
  };
}

function tdxQuoteOf(evidence: Evidence): TdxQuote {
  if (evidence.type !== "tdx") {
    throw new AttestationError("unknown-type", "This verifier reads TDX evidence only.");
  }
  const strange = Object.keys(evidence.attachments).find((name) => name !== "eventlog");
  if (strange !== undefined) {
    throw new AttestationError("malformed", "TDX evidence has no attachment but an event log.");
  }
  const quote = parseQuote(evidence.bytes);
  if (quote.kind === "sgx") throw new AttestationError("malformed", "The quote is not of TDX.");
  return quote;
}

async function verify(
  evidence: Evidence,
  context: VerifyContext,
  anchors: readonly Uint8Array[],
): Promise<VerifiedEvidence> {
  const quote = tdxQuoteOf(evidence);
  const verified = await verifyQuote(quote, { ...context, anchors });
  const { body } = quote;
  const { exam, status, level } = verified;
  relax(quote, verified);
  const log = evidence.attachments["eventlog"];
  if (log !== undefined) await requireEventLog(exam, context.crypto, log, body.rtmr);
  return {
    type: "tdx",
    claims: {
      tdx: { ...claimsOf(quote), ...tcbClaims(verified), event_log_replayed: log !== undefined },
    },
    measurements: {
      mr_td: body.mrTd,
      mr_seam: body.mrSeam,
      mr_config_id: body.mrConfigId,
      mr_owner: body.mrOwner,
      mr_owner_config: body.mrOwnerConfig,
      rtmr_0: body.rtmr[0],
      rtmr_1: body.rtmr[1],
      rtmr_2: body.rtmr[2],
      rtmr_3: body.rtmr[3],
      ...(body.mrServiceTd === undefined ? {} : { mr_servicetd: body.mrServiceTd }),
    },
    svn: {
      ...tcbNumbers(verified),
      tdx_module_svn: body.teeTcbSvn[0] ?? 0,
      tdx_module_version: body.teeTcbSvn[1] ?? 0,
      tdx_microcode_svn: body.teeTcbSvn[2] ?? 0,
    },
    tcb: { status, advisories: level.advisoryIDs ?? [] },
    relaxations: exam.relaxations,
    attributes: { ...platformAttributes(verified), ...switchesOf(body.tdAttributes) },
    debug: debugOf(body.tdAttributes),
    reportData: body.reportData,
    issuedAt: undefined,
    notAfter: verified.notAfter,
    isolation: "tee",
    binding: "session",
    root: verified.root,
    findings: exam.findings,
  };
}

/** What is genuine and yet not for everyone: a policy has to name it. */
function relax(quote: TdxQuote, { exam }: VerifiedQuote): void {
  const { tdAttributes, mrServiceTd } = quote.body;
  const { sept_ve_disable, migratable } = switchesOf(tdAttributes);
  if (sept_ve_disable === false) {
    // Without it the host can inject #VE where the guest touches a page taken from it.
    exam.relax(
      "tdx.sept-ve-disable-off",
      "SEPT_VE_DISABLE on",
      "off",
      "Intel TDX Module ABI, TDATTRIBUTES bit 28",
    );
  }
  if (migratable === true) {
    exam.relax(
      "tdx.migratable",
      "a TD that cannot be migrated",
      "migratable",
      "Intel TDX Module ABI, TDATTRIBUTES bit 29",
    );
  }
  if (mrServiceTd?.some((byte) => byte !== 0) === true) {
    exam.relax(
      "tdx.service-td",
      "no service TD",
      toHex(mrServiceTd),
      "Intel TDX Module ABI, SERVTD_HASH",
    );
  }
}

function bit(bytes: Uint8Array, index: number): boolean {
  return (((bytes[index >> 3] ?? 0) >> (index & 7)) & 1) === 1;
}

/** DEBUG, or any other bit of the byte that makes a TD one under debug. */
function debugOf(tdAttributes: Uint8Array): boolean {
  return tdAttributes[bits.debug] !== 0;
}

function switchesOf(attributes: Uint8Array): Readonly<Record<string, boolean>> {
  return {
    sept_ve_disable: bit(attributes, bits.septVeDisable),
    migratable: bit(attributes, bits.migratable),
    pks: bit(attributes, bits.pks),
    key_locker: bit(attributes, bits.kl),
    perfmon: bit(attributes, bits.perfmon),
  };
}

function claimsOf(quote: TdxQuote): Readonly<Record<string, Claim>> {
  const { body } = quote;
  return {
    quote: {
      header: headerClaims(quote),
      body: {
        tcb_svn: toHex(body.teeTcbSvn),
        mr_seam: toHex(body.mrSeam),
        mrsigner_seam: toHex(body.mrSignerSeam),
        seam_attributes: toHex(body.seamAttributes),
        td_attributes: toHex(body.tdAttributes),
        xfam: toHex(body.xfam),
        mr_td: toHex(body.mrTd),
        mr_config_id: toHex(body.mrConfigId),
        mr_owner: toHex(body.mrOwner),
        mr_owner_config: toHex(body.mrOwnerConfig),
        rtmr_0: toHex(body.rtmr[0]),
        rtmr_1: toHex(body.rtmr[1]),
        rtmr_2: toHex(body.rtmr[2]),
        rtmr_3: toHex(body.rtmr[3]),
        report_data: toHex(body.reportData),
        ...(body.teeTcbSvn2 === undefined ? {} : { tee_tcb_svn2: toHex(body.teeTcbSvn2) }),
        ...(body.mrServiceTd === undefined ? {} : { mr_servicetd: toHex(body.mrServiceTd) }),
      },
    },
    td_attributes: { debug: debugOf(body.tdAttributes), ...switchesOf(body.tdAttributes) },
    report_data: toHex(body.reportData),
    init_data: toHex(body.mrConfigId),
  };
}
