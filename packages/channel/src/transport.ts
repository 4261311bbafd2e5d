/**
 * A transport moves bytes between two ends and proves nothing about the peer but the possession of
 * its key. TLS and the in-memory pair implement it; the handshake of {@link Endpoint} does the rest.
 */
export interface Transport {
  /** TLS role: who opened the connection. */
  readonly role: "client" | "server";
  /** Our public key, SubjectPublicKeyInfo DER. */
  readonly localKey: Uint8Array;
  /** The key whose possession the peer has shown, SubjectPublicKeyInfo DER. */
  readonly peerKey: Uint8Array;
  /** Keying material of this connection (RFC 8446 section 7.5); equal at both ends. */
  exportKey(label: string, context: Uint8Array, length: number): Uint8Array;
  /**
   * Writes buffers as one unit without copying: they belong to the transport from then on.
   * Resolves when the transport takes more. @throws ChannelError `connection-failed`.
   */
  send(parts: readonly Uint8Array[]): Promise<void>;
  /** Starts the flow to the one consumer. Nothing is read before. */
  receive(consumer: TransportConsumer): void;
  /** Sends what is queued, then ends the connection. */
  close(): Promise<void>;
  /** Ends the connection at once. */
  destroy(error?: Error): void;
}

export interface TransportConsumer {
  /** Chunks in order; a promise holds back the next one. */
  data(chunk: Uint8Array): void | Promise<void>;
  /** Called once, after the last chunk. */
  end(error?: Error): void;
}
