/** Guest policy of SEV and SEV-ES. Source: AMD 55766 section 3, table 2. */
import type { EvidenceType } from "../evidence.ts";

/** Bits of the flags. */
export const sevPolicy = {
  noDebug: 0x01,
  noKeySharing: 0x02,
  es: 0x04,
  noSend: 0x08,
  domain: 0x10,
  sev: 0x20,
} as const;

export type SevType = Extract<EvidenceType, "sev" | "sev-es">;

/** Which of the two a guest with this policy is. */
export function sevTypeOf(policy: number): SevType {
  return (policy & sevPolicy.es) !== 0 ? "sev-es" : "sev";
}

/** Four bytes as the firmware has them: flags, least API major and minor. */
export function policyBytes(policy: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, policy, true);
  return bytes;
}
