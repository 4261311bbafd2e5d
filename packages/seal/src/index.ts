/** Data at rest and in store-and-forward: HPKE messages, sealed files, counters, signed receipts. */
export type { MonotonicCounter } from "./counter.ts";
export { fileCounter } from "./counter.ts";
export type { SealErrorCode } from "./errors.ts";
export { SealError, sealErrorClass, sealErrorCodes } from "./errors.ts";
export type { FileDescription } from "./file-header.ts";
export { describeSealedFile } from "./file-header.ts";
export type { OpenFileOptions, SealedFile } from "./file-read.ts";
export { openSealedFile, openSealedFileAt } from "./file-read.ts";
export type { RewrapOptions } from "./file-rewrap.ts";
export { rewrapSealedFile } from "./file-rewrap.ts";
export type { SealedWriter, SealFileOptions } from "./file-write.ts";
export { createSealedFile, sealFile, sealFileAt } from "./file-write.ts";
export type { HpkeKem, HpkeKey } from "./hpke.ts";
export { generateRecipient } from "./hpke.ts";
export type {
  ExpectedSender,
  HpkePublicKey,
  OpenedMessage,
  OpenMessageOptions,
  SealMessageOptions,
} from "./message.ts";
export { openMessage, sealMessage } from "./message.ts";
export type {
  Receipt,
  ReceiptContent,
  ReceiptParty,
  VerifyReceiptOptions,
} from "./receipt.ts";
export { commit, endorseReceiptKey, receiptParty, signReceipt, verifyReceipt } from "./receipt.ts";
export type { ReplayGuard, ReplayOptions } from "./replay.ts";
export { createReplayGuard } from "./replay.ts";
export type { SecretSource } from "./secret.ts";
export { Secret } from "./secret.ts";
export type { ByteStore } from "./store.ts";
export { fileStore, memoryStore, replaceFile } from "./store.ts";
export type { KeyWrapper } from "./wrap.ts";
export { secretKeyWrapper, wrappingKeyName } from "./wrap.ts";
