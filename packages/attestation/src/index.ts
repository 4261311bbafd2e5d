/** Evidence, policies and attestation results. */
export type { Appraisal, AppraisalInput, Appraiser, AppraiserOptions } from "./appraise.ts";
export { createAppraiser } from "./appraise.ts";
export type {
  AssessedFinding,
  Assessment,
  AssessOptions,
  Severity,
} from "./assess.ts";
export { assessEvidence } from "./assess.ts";
export type { EarExpectations, IssueOptions } from "./ear.ts";
export { acceptEar, issueEar, provePassport } from "./ear.ts";
export type { EvidenceLimits } from "./envelope.ts";
export {
  decodeEvidence,
  defaultEvidenceLimits,
  encodeEvidence,
  evidenceDigest,
} from "./envelope.ts";
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
export { explainFindings, explainPolicy } from "./explain.ts";
export type { Delegation } from "./identity.ts";
export {
  createDelegation,
  fingerprint,
  maxClockSkewMs,
  maxDelegationMs,
  verifyDelegation,
} from "./identity.ts";
export type {
  InstanceAppraisal,
  InstanceAppraiser,
  InstanceInput,
  InstanceResultFields,
} from "./instance.ts";
export {
  createInstanceAppraiser,
  InstanceEvidence,
  InstanceResult,
  parseRecords,
} from "./instance.ts";
export { keyAlgorithm } from "./keys.ts";
export type { Policy, PolicyRecord, RolePolicy } from "./policy.ts";
export { checkPolicy, parsePolicy, policyDigest } from "./policy-parse.ts";
export { policyLimits, policySchema } from "./policy-schema.ts";
export type { ReportDataField } from "./report-data.ts";
export { reportDataFields, reportDataFor } from "./report-data.ts";
export type { AttestationResultFields } from "./result.ts";
export { AttestationResult } from "./result.ts";
export type {
  RevocationList,
  RevocationOptions,
  RevocationSubject,
  Revocations,
  SignedRevocations,
} from "./revocation.ts";
export { createRevocations, signRevocationList } from "./revocation.ts";
export type { Statement, StatementDigest, StatementKeys } from "./statement.ts";
export {
  decodeStatement,
  encodeStatement,
  statementDigest,
  statementDigests,
} from "./statement.ts";
export { decodePem } from "./x509/pem.ts";
