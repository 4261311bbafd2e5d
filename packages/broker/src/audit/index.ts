/** The audit log: C2SP tlog-tiles with signed checkpoints, proofs and witnesses. */
export type { AuditEvent, AuditField } from "./entry.ts";
export { auditEvents, decodeEntry, encodeEntry } from "./entry.ts";
export type { Appended, AuditLog, AuditLogOptions } from "./log.ts";
export { openAuditLog } from "./log.ts";
export type { Checkpoint, KeyKind, NoteKey, NoteSignature, Trust } from "./note.ts";
export { decodeVkey, encodeVkey, noteKey, openCheckpoint, parseCheckpoint } from "./note.ts";
export type { ProvenEntry } from "./proof.ts";
export { maxProofBytes, verifyProof } from "./proof.ts";
export type { LogReader } from "./read.ts";
export { openLogReader } from "./read.ts";
export type { LogStore } from "./store.ts";
export { directoryStore, lockDirectory } from "./store.ts";
export type { Witness, WitnessAnswer, WitnessOptions } from "./witness.ts";
export { createWitness, encodeWitnessRequest } from "./witness.ts";
export type { AskWitnessOptions, WitnessServer } from "./witness-http.ts";
export { askWitness, serveWitness } from "./witness-http.ts";
