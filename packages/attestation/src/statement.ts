/**
 * The statement: what a trust domain says of itself in its Hello. Evidence is bound to its digest,
 * and the verifier checks that the measured state covers it.
 */

/** SHA-256 digests, 32 bytes each, and public keys of one process. */
export interface Statement {
  /** Of the runtime's executable. */
  readonly runtime: Uint8Array;
  /** Of the runtime's flags. */
  readonly flags: Uint8Array;
  /** Of the code manifest: main, pool and native libraries. */
  readonly code: Uint8Array;
  /** Of the policy this process holds its peers to. */
  readonly policy: Uint8Array;
  /** Of the workload's configuration. */
  readonly config: Uint8Array;
  readonly keys: StatementKeys;
}

/** Public keys generated in the process itself; the private halves never leave it. */
export interface StatementKeys {
  /** TLS certificate, SubjectPublicKeyInfo DER, P-256. */
  readonly tls: Uint8Array;
  /** Worker key that the party's identity delegates to, SubjectPublicKeyInfo DER. */
  readonly signing: Uint8Array;
  /** HPKE recipient key, X25519, 32 bytes (RFC 9180 DHKEM(X25519, HKDF-SHA256)). */
  readonly hpke: Uint8Array;
  /** Receipt key, SubjectPublicKeyInfo DER. */
  readonly receipt: Uint8Array;
}
