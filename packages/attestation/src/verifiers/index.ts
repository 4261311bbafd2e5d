/** Every verifier of this version, for parties that take evidence of any TEE their policy names. */

import { ccaVerifier } from "../cca/index.ts";
import { csvVerifier } from "../csv/index.ts";
import type { Verifier } from "../evidence.ts";
import { nitroVerifier } from "../nitro/index.ts";
import { sevVerifier } from "../sev/index.ts";
import { sgxVerifier } from "../sgx/index.ts";
import { simulatedVerifier } from "../simulated/index.ts";
import { snpVerifier } from "../snp/index.ts";
import { tdxVerifier } from "../tdx/index.ts";
import { tpmVerifier } from "../tpm/index.ts";
import { azureVtpmVerifier } from "../vtpm/index.ts";

/**
 * Runs in Node and browsers.
 * @param anchors roots to trust instead of the vendors': DER, or Hygon's binary form.
 */
export function everyVerifier(anchors?: readonly Uint8Array[]): readonly Verifier[] {
  const options = anchors === undefined ? {} : { anchors };
  return [
    sgxVerifier(options),
    tdxVerifier(options),
    snpVerifier(options),
    sevVerifier("sev"),
    sevVerifier("sev-es"),
    csvVerifier(options),
    nitroVerifier(options),
    ccaVerifier(),
    tpmVerifier(options),
    azureVtpmVerifier({ tee: snpVerifier(options) }),
    azureVtpmVerifier({ tee: tdxVerifier(options) }),
    simulatedVerifier(),
  ];
}
