/** What reading a form gives. */

import type { Collateral, Evidence, EvidenceType } from "../evidence.ts";
import { readRaTls } from "../ra-tls/verify.ts";

export interface Recognised {
  readonly evidence: Evidence;
  /** What the form holds beside the evidence, such as certificates. */
  readonly collateral: Collateral;
  /** Of which kind the file is, for people. */
  readonly form: string;
  /** The certificate around the evidence, DER, if it came in one: its key must be checked too. */
  readonly certificate?: Uint8Array;
}

/** Evidence that the form holds as it is. */
export function recognised(type: EvidenceType | "ra-tls", bytes: Uint8Array): Recognised {
  if (type !== "ra-tls") {
    return { evidence: { type, bytes, attachments: {} }, collateral: {}, form: "raw" };
  }
  const { evidence, format } = readRaTls(bytes, true);
  return { evidence, collateral: {}, form: `RA-TLS certificate (${format})`, certificate: bytes };
}
