/**
 * Every domain-separation label of the project, in one place, so that no two uses can share one: a
 * signature or digest made for one purpose must never verify for another. `test/labels.test.ts`
 * holds golden vectors; a label that has been released never changes its meaning.
 */
export const labels = {
  /** H(Hello) inside the binding. */
  hello: "vivarium/1 hello",
  /** H(statement) inside the binding and the delegation. */
  statement: "vivarium/1 statement",
  /** Session binding: report data of the evidence. */
  binding: "vivarium/1 binding",
  /** Binding of a re-attestation. */
  rebinding: "vivarium/1 rebinding",
  /** Digest of a whole handshake: channel id, context of the workload's keying material. */
  session: "vivarium/1 session",
  /** TLS exporter label of the TLS client's evidence (RFC 5705, RFC 8446 section 7.5). */
  exporterClient: "EXPORTER-vivarium/1 client",
  /** TLS exporter label of the TLS server's evidence. */
  exporterServer: "EXPORTER-vivarium/1 server",
  /** TLS exporter label of secrets for the workload. */
  exporterWorkload: "EXPORTER-vivarium/1 workload",
  /** Signature of the worker key over the binding. */
  identity: "vivarium/1 identity",
  /** Signature of a party's long-term identity over a worker key. */
  delegation: "vivarium/1 delegation",
  /** Digest of a policy document. */
  policy: "vivarium/1 policy",
  /** Digest of a workload's configuration. */
  config: "vivarium/1 config",
  /** Digest of a code manifest. */
  manifest: "vivarium/1 manifest",
  /** Digest of the runtime's flags. */
  flags: "vivarium/1 flags",
  /** Signature of a guest's owner over an SEV launch that he has checked. */
  sevLaunch: "vivarium/1 sev launch",
  /** Signature of an SEV guest, with the key that it was given at launch, over a session's binding. */
  sevBinding: "vivarium/1 sev binding",
  /** Digest of evidence, in results and receipts. */
  evidence: "vivarium/1 evidence",
  /** Signed revocation list. */
  revocations: "vivarium/1 revocations",
  /** Holder's proof over the session binding when a passport is presented. */
  passport: "vivarium/1 passport",
  /** Signed receipt. */
  receipt: "vivarium/1 receipt",
  /** Signature of a worker key over the receipt key of its process. */
  receiptKey: "vivarium/1 receipt key",
  /** Salted commitment inside a receipt. */
  commitment: "vivarium/1 commitment",
  /** HPKE info of a sealed message. */
  message: "vivarium/1 message",
  /** Signature of the sender over a sealed message. */
  messageSignature: "vivarium/1 message signature",
  /** Key derivation of a sealed file. */
  file: "vivarium/1 file",
  /** Wrapping of a sealed file's key. */
  fileWrap: "vivarium/1 file wrap",
  /** Name of a key that wraps keys of files. */
  fileKeyName: "vivarium/1 file key name",
  /** Name of the counter of a sealed file's versions. */
  fileVersion: "vivarium/1 file version",
  /** Digest of the key that a key broker wraps to. */
  brokerKey: "vivarium/1 broker key",
  /** Domain-separation tag of PSI's hash to curve (with the session id behind it). */
  psiHashToCurve: "vivarium/1 psi curve25519_XMD:SHA-512_ELL2_NU_",
  /** Session id of a PSI run, from the exporter. */
  psiSession: "vivarium/1 psi session",
  /** Truncation hash of PSI's second round. */
  psiTag: "vivarium/1 psi tag",
  /** Key of PSI's protocol `attested`, from the exporter. */
  psiKeyed: "vivarium/1 psi keyed hashes",
  /** Tag of an item in PSI's modes with payloads. */
  psiOprfTag: "vivarium/1 psi oprf tag",
  /** Key of an item's payload in PSI. */
  psiOprfKey: "vivarium/1 psi oprf key",
  /** Tag of a saved PSI session, and names of its files. */
  psiResume: "vivarium/1 psi resume",
  /** Proof over a new channel of having a saved PSI session. */
  psiResumeProof: "vivarium/1 psi resume proof",
  /** Digest of a PSI transcript, in receipts. */
  psiTranscript: "vivarium/1 psi transcript",
  /** Commitment to a PSI input set, in receipts. */
  psiInput: "vivarium/1 psi input",
  /** Digest of a model's layout and parameters, in federated rounds and their receipts. */
  federatedModel: "vivarium/1 federated model",
  /** Digest of a sealed update: what a participant's commitment is to. */
  federatedUpdate: "vivarium/1 federated update",
  /** Digest of the updates that one round is made of. */
  federatedSet: "vivarium/1 federated set",
  /** Draws of a federated run: cohorts, seeds of the participants. */
  federatedDraw: "vivarium/1 federated draw",
} as const;

export type Label = (typeof labels)[keyof typeof labels];
