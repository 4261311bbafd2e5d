/** Evidence, policies and attestation results. */
export type { AttestationErrorCode } from "./errors.ts";
export { AttestationError, attestationErrorClass, attestationErrorCodes } from "./errors.ts";
export type {
  Attester,
  Binding,
  Claim,
  Collateral,
  Evidence,
  EvidenceType,
  Finding,
  Isolation,
  TcbStatus,
  VerifiedEvidence,
  Verifier,
  VerifyContext,
} from "./evidence.ts";
export { evidenceTypes, tcbStatuses } from "./evidence.ts";
export type { Policy, PolicyRecord, RolePolicy } from "./policy.ts";
export type { AttestationResultFields } from "./result.ts";
export { AttestationResult } from "./result.ts";
export type { Statement, StatementKeys } from "./statement.ts";
