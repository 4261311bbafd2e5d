/** Who is at the other end of a channel. */

/**
 * The client in the mode `client-verifies-server`: it has shown possession of a key and nothing
 * else. No release accepts it, for it is not an `AttestationResult`.
 */
export class UnattestedPeer {
  readonly #unattested = true;
  readonly attested = false;
  /** Role it claims. */
  readonly role: string;
  /** Its TLS key, SubjectPublicKeyInfo DER. */
  readonly key: Uint8Array;

  constructor(role: string, key: Uint8Array) {
    this.role = role;
    this.key = key;
    Object.freeze(this);
  }

  static is(value: unknown): value is UnattestedPeer {
    return typeof value === "object" && value !== null && #unattested in value && value.#unattested;
  }
}
