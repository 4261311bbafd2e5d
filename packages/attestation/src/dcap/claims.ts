/** Claims that SGX and TDX share, by trustee's names where it has them. */
import { toHex } from "@vivarium/core";
import type { Claim } from "../evidence.ts";
import type { Quote } from "./quote.ts";
import type { VerifiedQuote } from "./verify.ts";

export function headerClaims(quote: Quote): Readonly<Record<string, Claim>> {
  return {
    version: quote.version,
    att_key_type: 2,
    tee_type: quote.kind === "sgx" ? "00000000" : "81000000",
    vendor_id: toHex(quote.qeVendorId),
    user_data: toHex(quote.userData),
    qe_svn: quote.qeSvn,
    pce_svn: quote.pceSvn,
  };
}

export function tcbClaims(verified: VerifiedQuote): Readonly<Record<string, Claim>> {
  const { level, qeLevel, moduleLevel, platform, status, missing } = verified;
  return {
    tcb_status: status,
    tcb_date: level.tcbDate,
    tcb_eval_num: verified.info.tcbEvaluationDataNumber,
    qe_eval_num: verified.identity.tcbEvaluationDataNumber,
    advisory_ids: level.advisoryIDs ?? [],
    platform_tcb_status: level.tcbStatus,
    qe_tcb_status: qeLevel.tcbStatus,
    qe_advisory_ids: qeLevel.advisoryIDs ?? [],
    module_tcb_status: moduleLevel?.tcbStatus ?? null,
    module_advisory_ids: moduleLevel?.advisoryIDs ?? [],
    fmspc: platform.fmspc,
    pce_id: platform.pceId,
    cpu_svn: platform.components.map((svn) => svn.toString(16).padStart(2, "0")).join(""),
    pce_svn: platform.pceSvn,
    missing_for_up_to_date: missing.map(({ component, has, needs }) => ({ component, has, needs })),
    earliest_expiration_date: new Date(verified.notAfter).toISOString(),
  };
}

/** Switches of the PCK certificate; absent ones are left out, so that requiring them fails. */
export function platformAttributes(verified: VerifiedQuote): Readonly<Record<string, boolean>> {
  const { dynamicPlatform, cachedKeys, smtEnabled } = verified.platform;
  return {
    ...(dynamicPlatform === undefined ? {} : { dynamic_platform: dynamicPlatform }),
    ...(cachedKeys === undefined ? {} : { cached_keys: cachedKeys }),
    ...(smtEnabled === undefined ? {} : { smt_enabled: smtEnabled }),
  };
}

/**
 * Numbers that a policy may bound from below. The evaluation numbers of both signed bodies: an
 * attacker would pair new TCB info with an old QE identity.
 */
export function tcbNumbers(verified: VerifiedQuote): Readonly<Record<string, number>> {
  return {
    tcb_evaluation_data_number: verified.info.tcbEvaluationDataNumber,
    qe_evaluation_data_number: verified.identity.tcbEvaluationDataNumber,
    tcb_date: Math.floor(Date.parse(verified.level.tcbDate) / 1000),
  };
}
