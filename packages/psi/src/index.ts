/** Private set intersection between two attested workers. */
export { teeTrustOf } from "./attested.ts";
export { psiBundle } from "./bundle.ts";
export type { PsiChannel } from "./channel.ts";
export { runReceiver, runSender } from "./channel.ts";
export type { PsiCheckpoint, SavedSession, SealedCheckpointOptions } from "./checkpoint.ts";
export { sealedCheckpoint } from "./checkpoint.ts";
export type { PsiConfig, PsiKeyColumn, PsiKeys, PsiMode, PsiProtocol, PsiRole } from "./config.ts";
export { configDigest } from "./config.ts";
export type { PsiErrorCode } from "./errors.ts";
export { PsiError, psiErrorClass, psiErrorCodes } from "./errors.ts";
export type { Executor, PoolExecutorOptions, TaskPool } from "./executor.ts";
export { inlineExecutor, poolExecutor } from "./executor.ts";
export type { PsiBatch } from "./input.ts";
export type { LaunchPsiOptions, PsiPartyConfig, PsiWorker } from "./launch.ts";
export { launchPsi, runPsi } from "./launch.ts";
export { psiLimits } from "./limits.ts";
export type { PsiOptions, PsiResult } from "./options.ts";
export type { PsiStatistics } from "./payload.ts";
export { decimalText } from "./payload.ts";
export type { PsiCalibration, PsiPlan } from "./plan.ts";
export { calibratePsi, planPsi } from "./plan.ts";
export type { PsiPhase, PsiProgress } from "./progress.ts";
export type { PsiReceipt, PsiReceiptOptions } from "./receipt.ts";
export { createPsiReceipt, receiptKind } from "./receipt.ts";
export { runRole } from "./run.ts";
export type { Link } from "./session.ts";
export { psiTasks } from "./tasks.ts";
export type { PsiWorkerConfig } from "./worker/config.ts";
export type {
  FindingRecord,
  PeerSummary,
  PsiWorkerEvent,
  PsiWorkerSummary,
} from "./worker/events.ts";
